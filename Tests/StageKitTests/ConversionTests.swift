import Failures
import Imaging
import Decoding
import Models
import TestSupport
import Testing

@testable import StageKit

/// What settings mean to the floors below.
@Suite struct ConversionTests {
  @Test("A preset's bounds of pixels come before the checkpoint's, and must leave room")
  func pixels() throws {
    let own = ImageProcessor()
    var settings = PrepareSettings()
    #expect(try settings.bounding(own, at: "a.yaml").fingerprint == own.fingerprint)
    settings.minPixels = 3136
    settings.maxPixels = 401_408
    let bounded = try settings.bounding(own, at: "a.yaml")
    #expect(bounded.minPixels == 3136 && bounded.maxPixels == 401_408)
    settings.maxPixels = 3000
    let found = failure { _ = try settings.bounding(own, at: "a.yaml") }
    #expect(found?.code == .badPreset && found?.place == "a.yaml")
    #expect(found?.found == "3136 and 3000")
  }

  @Test("Beams search, one is greedy; an answer ends where the checkpoint or a turn ends")
  func answers() throws {
    let scratch = try TemporaryFolder()
    try scratch.write(
      #"{"eos_token_id": [3, 4], "repetition_penalty": 1.5}"#, to: "generation_config.json")
    let defaults = try GenerationDefaults(directory: scratch.path)
    var settings = EvaluateSettings()
    settings.maxNewTokens = 7
    let greedy = settings.generation(defaults, end: 9)
    #expect(greedy.stop == [3, 4, 9] && greedy.maxNewTokens == 7)
    #expect(greedy.repetitionPenalty == 1.5)
    if case .greedy = greedy.method {} else { Issue.record("\(greedy.method)") }
    settings.beams = 5
    guard case .beams(let search) = settings.generation(defaults, end: 9).method else {
      Issue.record("no beams")
      return
    }
    #expect(search.beams == 5)
  }

  @Test("A position of the targets takes what its form stores")
  func targets() {
    var settings = TargetSettings()
    #expect(settings.numbers(student: 8, teacher: 20) == 8)
    settings.form = .vectors
    #expect(settings.numbers(student: 8, teacher: 20) == 28)
    settings.form = .topk
    settings.topK = 5
    #expect(settings.numbers(student: 8, teacher: 20) == 15)
    #expect(settings.elementType == .float16)
    settings.precision = .bfloat16
    #expect(settings.elementType == .bfloat16)
  }
}
