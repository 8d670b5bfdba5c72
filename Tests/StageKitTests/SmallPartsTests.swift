import Testing

@testable import StageKit

@Suite struct SmallPartsTests {
  @Test("The nearest known word is the one that was meant, or none")
  func nearestWord() {
    let known = ["learning_rate", "final_learning_rate", "steps", "beta1", "beta2"]
    #expect(nearest(to: "learning-rate", among: known) == "learning_rate")
    #expect(nearest(to: "lerning_rate", among: known) == "learning_rate")
    #expect(nearest(to: "setps", among: known) == "steps")
    #expect(nearest(to: "temperature", among: known) == nil)
    #expect(nearest(to: "x", among: []) == nil)
  }

  @Test("Edit distance counts a swap of neighbours as one")
  func distances() {
    #expect(editDistance("", "") == 0)
    #expect(editDistance("abc", "") == 3)
    #expect(editDistance("abc", "acb") == 1)
    #expect(editDistance("kitten", "sitting") == 3)
  }

  @Test("Durations and rates read well")
  func readable() {
    #expect(Progress.duration(0.04) == "0.0 s")
    #expect(Progress.duration(3.14) == "3.1 s")
    #expect(Progress.duration(59.4) == "59 s")
    #expect(Progress.duration(125) == "2 min 05 s")
    #expect(Progress.duration(359_000) == "99 h 43 min")
    #expect(Progress.duration(500_000) == "6 days")
    #expect(Progress.duration(12_000) == "3 h 20 min")
    #expect(Progress.rate(0.1234) == "0.12")
    #expect(Progress.rate(12.345) == "12.3")
    #expect(Progress.rate(1234.5) == "1235")
  }

  @Test("A log line names the artifact in the making")
  func labels() {
    func label(_ arguments: String...) -> String { Stage.label("vlsi-align", arguments: arguments) }
    #expect(label("p") == "vlsi-align")
    #expect(label("p", "--output") == "vlsi-align")
    #expect(label("p", "--output", "runs/tiny/compare/sft/model") == "vlsi-align compare/sft/model")
    #expect(Stage.label("data", arguments: ["/b/vlsi-synthesize"]) == "vlsi-synthesize data")
    #expect(label("p", "--output", "/data/x/adapter/") == "vlsi-align adapter")
  }

  @Test("Setting values become JSON that stands on one line")
  func values() {
    let value = SettingValue.object([
      ("b", .list([.int(1), .null, .bool(true)])), ("a", .string("x\n\"\\\u{1}é")),
    ])
    #expect(value.json == #"{"b": [1, null, true], "a": "x\n\"\\\u0001é"}"#)
    #expect(value.asJSON == .object(["b": .array([1, nil, true]), "a": .string("x\n\"\\\u{1}é")]))
  }

  @Test("Anonymous memory is counted, mapped files are not")
  func memory() {
    let watch = MemoryWatch()
    defer { watch.stop() }
    let before = MemoryWatch.anonymousBytes()
    let block = [UInt8](repeating: 1, count: 64 << 20)
    #expect(watch.peakBytes - before > 48 << 20)
    #expect(block.last == 1)
  }
}
