import Artifacts
import Distillation
import Foundation
import TestSupport
import Testing

/// Images are encoded once: later stages take the visual embeddings that the student's features hold,
/// and come to what encoding again comes to.
@Suite struct VisualEmbeddingTests {
  private let bench: Workbench
  private let scratch: TemporaryFolder

  init() throws {
    bench = try Workbench.shared.get()
    scratch = try TemporaryFolder()
  }

  private func numbers(_ file: String, _ key: String) throws -> [Double] {
    try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").compactMap { line in
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return object?[key] as? Double
    }
  }

  private func perform(_ artifact: String, _ more: String, at folder: String) throws -> Outcome {
    try bench.perform("\(Workbench.command(artifact)) \(more) --output \(folder)")
  }

  @Test(arguments: ["adapter", "model"])
  func aTrainingWithThemIsTheSame(stage: String) throws {
    let with = scratch("with"), without = scratch("without")
    let outcome = try perform(stage, "--features $/features/student", at: with)
    try #require(outcome.code == 0, "\(outcome.errors)")
    #expect(try perform(stage, "", at: without).code == 0)
    let (known, encoded) = (
      try numbers(with + "/metrics.jsonl", "loss"), try numbers(without + "/metrics.jsonl", "loss")
    )
    try #require(known.count == 3 && encoded.count == 3)
    for (a, b) in zip(known, encoded) { #expect(abs(a - b) < 2e-3 * abs(b), "\(known) \(encoded)") }
    let facts = try ArtifactReader.manifest(in: with).facts
    #expect(
      facts["visual_embeddings"]?.asString
        == (try ArtifactReader(directory: "\(bench.path)/features/student", kind: .features))
        .fingerprint)
    // Where they come from decides nothing: the artifact is that of this recipe either way.
    let again = try perform(stage, "", at: with)
    #expect(again.errors.contains("nothing to do"), "\(again.errors)")
  }

  /// The distilled student sees with the student's encoder.
  @Test func anotherModelWithThatEncoderTakesThem() throws {
    let command =
      "vlsi-extract --role student --model $/model --samples $/samples --preset "
      + "$/preset.yaml"
    let with = scratch("with"), without = scratch("without")
    #expect(
      try bench.perform("\(command) --features $/features/student --output \(with)").code == 0)
    #expect(try bench.perform("\(command) --output \(without)").code == 0)
    let (known, encoded) = (
      try ArtifactReader(directory: with, kind: .features),
      try ArtifactReader(directory: without, kind: .features)
    )
    #expect(known.manifest.settings["store_visual"]?.asBool == false)
    for index in known.indices {
      let a = try known.record(index).tensor("hidden.last").floats()
      let b = try encoded.record(index).tensor("hidden.last").floats()
      let size = b.reduce(0) { max($0, abs($1)) }
      #expect(zip(a, b).allSatisfy { abs($0 - $1) < 0.05 * size })
      #expect(try encoded.record(index).tensors["visual"] != nil)
    }
  }

  @Test func anotherEncoderDoesNot() throws {
    let outcome = try bench.perform(
      "vlsi-extract --role teacher --model $/teacher --samples $/samples --preset $/preset.yaml "
        + "--features $/features/student --output \(scratch("features"))")
    #expect(outcome.code == 0)
    #expect(outcome.errors.contains("images are encoded"), "\(outcome.errors)")
    #expect(
      try bench.perform(
        "vlsi-finetune --model $/student --samples $/samples --features $/samples --preset "
          + "$/preset.yaml --output \(scratch("model"))"
      ).code == 65)
  }

  /// The student's states are extracted as far as verbalize reads them, its embeddings for all.
  @Test func statesOfAShare() throws {
    func write(_ extract: String) throws {
      try scratch.write(
        """
        synthesize: {train_images: 90, pretrain_images: 4, pretrain_dense_images: 4}
        prepare: {context: 256, questions: independent}
        extract: {student_layers: [2], \(extract)}
        verbalize: {steps: 2, tokens_per_batch: 16}
        finetune: {steps: 1, samples_per_batch: 4, accumulation: 1}

        """, to: "preset.yaml")
    }
    func run(_ command: String, _ output: String) throws {
      let outcome = try Workbench.perform(
        command.replacingOccurrences(of: "~", with: bench.path)
          + " --preset $/preset.yaml --output $/\(output)", path: scratch.path)
      try #require(outcome.code == 0, "\(outcome.errors)")
    }
    try write("store_visual: auto")
    try run("vlsi-synthesize data --splits train", "data")
    try run("vlsi-prepare --dataset $/data/train.json --images $/data --model ~/student", "samples")
    let extract = "vlsi-extract --role student --model ~/student --samples $/samples"
    try run(extract, "features")
    let features = try ArtifactReader(directory: scratch("features"), kind: .features)
    let share = FeatureShare(features.manifest.settings)
    #expect(share.eighths == 1)
    let heard = Set(share.of(features.indices))
    #expect(features.indices.count == 90 && (65...70).contains(heard.count))
    for index in features.indices {
      let tensors = try features.record(index).tensors
      #expect(tensors["visual"] != nil)
      #expect((tensors["hidden.2"] != nil) == heard.contains(index))
    }
    #expect(try FeatureReader(directory: scratch("features")).indices == heard.sorted())
    try run("vlsi-verbalize --model ~/student --features $/features", "verbalizers")
    try run("vlsi-finetune --model ~/student --samples $/samples --features $/features", "model")

    try write("store_visual: false")
    try run(extract, "states")
    let states = try FeatureReader(directory: scratch("states"))
    #expect(states.artifact.indices == heard.sorted() && states.indices == heard.sorted())
    #expect(states.artifact.manifest.facts["positions"] == features.manifest.facts["positions"])
    for index in states.indices.suffix(3) {
      let found = try states.artifact.record(index).tensor("hidden.2").floats()
      let expected = try features.record(index).tensor("hidden.2").floats()
      // Other neighbours in a batch are other shapes of products, which may sum in another order.
      let largest = expected.map(abs).max() ?? 0
      #expect(found.count == expected.count && largest > 0)
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 0.02 * largest })
    }
    try run("vlsi-verbalize --model ~/student --features $/states", "other")
  }
}
