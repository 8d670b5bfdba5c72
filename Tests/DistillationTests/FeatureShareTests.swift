import Artifacts
import Testing

@testable import Distillation

/// Which samples' hidden states are extracted.
@Suite struct FeatureShareTests {
  @Test(arguments: 1...8) func asManyEighthsAsItSays(eighths: Int) {
    let share = FeatureShare(covering: Double(eighths) / 8)
    #expect(share.eighths == eighths)
    let indices = Array(100..<1124)
    let chosen = share.of(indices)
    #expect(chosen.prefix(64) == indices.prefix(64))
    #expect(chosen.count == 64 + 960 * eighths / 8)
    #expect(abs(share.part(of: 1024) - Double(chosen.count) / 1024) < 1e-9)
    // Evenly spread: as many of every eight.
    for start in stride(from: 164, to: 1124, by: 8) {
      #expect(chosen.count { (start..<start + 8).contains($0) } == eighths)
    }
    #expect(share.of(Array(0..<40)) == Array(0..<40))
  }

  @Test func whatItCoversAndHowSettingsTellIt() {
    for (part, eighths) in [(0, 1), (0.01, 1), (0.125, 1), (0.126, 2), (0.99, 8), (1, 8), (7, 8)] {
      #expect(FeatureShare(covering: part).eighths == eighths)
    }
    let some = FeatureShare(covering: 0.3)
    let setting = some.setting
    #expect(FeatureShare(.object([setting?.key ?? "": setting?.value ?? .null])) == some)
    #expect(FeatureShare(covering: 1).setting == nil)
    #expect(FeatureShare([:]).eighths == 8)
    #expect(FeatureShare(["eighths": .int(-3)]).eighths == 1)
  }
}
