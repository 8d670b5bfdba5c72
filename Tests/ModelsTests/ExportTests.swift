import Artifacts
import Checkpoints
import Foundation
import Imaging
import Kernels
import Tensors
import Testing

@testable import Decoding
@testable import Models

/// What is saved is what transformers and PEFT load. Whether they really do is asked of themselves
/// where VLSI_TORCH_PYTHON names a Python that has them (Tests/Goldens/check_exports.py).
@Suite struct ExportTests {
  private static var python: String? { ProcessInfo.processInfo.environment["VLSI_TORCH_PYTHON"] }

  private func withTemporaryDirectory<T>(_ body: (String) throws -> T) throws -> T {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("vlsi-export-\(UUID().uuidString)").path
    try Files.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    return try body(directory)
  }

  /// One AdamW step on everything, so that no weight is the base's.
  private func trained(_ goldens: Goldens) throws -> VisionLanguageModel {
    let model = try goldens.load()
    model.train(Set(VisionLanguageModel.Part.allCases))
    let tape = Tape(recording: true)
    tape.backward(try batchLoss(model, try goldens.packed(["one_image"], for: model), tape))
    AdamW(model.parameters, AdamW.Settings()).step(learningRate: 0.01)
    return model
  }

  private func logits(_ goldens: Goldens, _ model: VisionLanguageModel, _ sample: String) throws
    -> Tensor
  {
    try logits(model, try goldens.modelSample(sample))
  }

  private func logits(_ model: VisionLanguageModel, _ sample: ModelSample) throws -> Tensor {
    let tape = Tape(recording: false)
    let output = try model.forward(model.pack([sample]), tape: tape)
    return model.logits(output.last, tape: tape)
  }

  /// Runs check_exports.py, where there is a Python to run it.
  private func checkExport(
    _ arguments: [String], _ sample: ModelSample, _ model: VisionLanguageModel, in directory: String
  ) throws {
    guard let python = Self.python else { return }
    let logits = try logits(model, sample)
    let expected = directory + "/expected.safetensors"
    let patches = sample.images.flatMap(\.patches)
    let grids = sample.images.flatMap { [$0.grid.time, $0.grid.height, $0.grid.width] }
    let count = sample.images.reduce(0) { $0 + $1.grid.time * $1.grid.height * $1.grid.width }
    var tensors = [
      ("input_ids", RawTensor(int32: sample.inputIDs, shape: [sample.inputIDs.count])),
      ("image_grid", RawTensor(int32: grids.map(Int32.init), shape: [sample.images.count, 3])),
      ("pixel_values", RawTensor(float32: patches, shape: [count, patches.count / count])),
      ("logits", RawTensor(float32: logits.array, shape: logits.shape)),
    ]
    let sizes = sample.images.compactMap(\.grid.original).flatMap { [$0.height, $0.width] }
    if !sizes.isEmpty {
      tensors.append(
        ("image_sizes", RawTensor(int32: sizes.map(Int32.init), shape: [sizes.count / 2, 2])))
    }
    try Data(Safetensors.encode(tensors)).write(to: URL(fileURLWithPath: expected))
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: python)
    let script = Goldens.root.deletingLastPathComponent().appendingPathComponent("check_exports.py")
    process.arguments = [script.path] + arguments + ["--expected", expected]
    process.standardError = output
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(text.suffix(2000))")
    print(text.split(separator: "\n").last { $0.hasPrefix("{") } ?? "")
  }

  /// The checkpoint that VLSI_CHECKPOINT names, of any size, loads in transformers and gives the
  /// logits there that it gives here.
  @Test(
    .enabled(
      if: python != nil && ProcessInfo.processInfo.environment["VLSI_CHECKPOINT"] != nil))
  func checkpointOfYourOwn() throws {
    let directory = try #require(ProcessInfo.processInfo.environment["VLSI_CHECKPOINT"])
    let model = try VisionLanguageModel(Checkpoint(directory: directory))
    let config = model.config
    var random = SplitMix64(seed: 1)
    let encoder = config.encoder
    // Two tokens high and wide, or a whole tile.
    let merge = Int(Double(encoder.patchesPerToken).squareRoot())
    let sides = [2 * merge, (config as? LlavaOneVisionConfig)?.vision.side].compactMap { $0 }
    let side = try #require(
      sides.last { config.imageTokens(ImageGrid(height: $0, width: $0)) != nil })
    let image = ModelImage(
      grid: ImageGrid(height: side, width: side),
      patches: (0..<(side * side * encoder.patchDimension)).map { _ in
        Float.random(in: -2...2, using: &random)
      })
    let words = (0..<12).map { _ in Int32.random(in: 0..<1000, using: &random) }
    let ids = [Int](
      repeating: config.imageTokenID, count: try #require(config.imageTokens(image.grid)))
    try withTemporaryDirectory { folder in
      try checkExport(
        ["checkpoint", directory],
        ModelSample(inputIDs: ids.map(Int32.init) + words, images: [image]), model, in: folder)
    }
  }

  @Test(arguments: Goldens.models) func checkpoint(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try trained(goldens)
    try withTemporaryDirectory { directory in
      let base = try Checkpoint(directory: goldens.checkpoint)
      let files = try model.save(to: directory, base: base)
      #expect(files.contains("config.json") && files.contains("generation_config.json"))
      let saved = try Checkpoint(directory: directory)
      try saved.checkComplete()
      // The same tensors in the same types as transformers wrote.
      #expect(saved.names == base.names)
      for name in base.names {
        #expect(saved[name]?.type == base[name]?.type && saved[name]?.shape == base[name]?.shape)
      }
      // Every value is the trained one, rounded to the type on disk.
      let again = try VisionLanguageModel(saved)
      for (before, after) in zip(model.parameters, again.parameters) {
        let type = try #require(saved[after.name]).type
        let rounded = try RawTensor(before.array, as: type, shape: before.shape).floats()
        #expect(before.name == after.name && rounded == after.array, "\(after.name)")
      }
      if name == "a" {
        let found = try logits(goldens, again, "several_turns").array
        #expect(found == (try logits(goldens, model, "several_turns").array))
      }
      try checkExport(
        ["checkpoint", directory], goldens.modelSample("two_images"), again, in: directory)
    }
  }

  /// A model saved untouched is the base, bit for bit.
  @Test func untouched() throws {
    let goldens = try Goldens("b")
    try withTemporaryDirectory { directory in
      let base = try Checkpoint(directory: goldens.checkpoint)
      _ = try VisionLanguageModel(base).save(to: directory, base: base)
      let saved = try Checkpoint(directory: directory)
      for name in base.names { #expect(saved[name]?.raw() == base[name]?.raw(), "\(name)") }
    }
  }

  /// float32, float16 and bf16 checkpoints load; the model saved from one has its type again.
  @Test(
    arguments: [(ElementType.float32, 1e-5), (.float16, 2e-3), (.bfloat16, 2e-2)]
      as [(ElementType, Float)])
  func elementTypes(type: ElementType, tolerance: Float) throws {
    let goldens = try Goldens("a")
    try withTemporaryDirectory { directory in
      let source = try Checkpoint(directory: goldens.checkpoint)
      let stored = directory + "/stored", saved = directory + "/saved"
      let tensors = try source.config.tensorShapes.map { name, shape in
        let values = try source.tensor(name, shape: shape).raw().floats()
        return OutputTensor(name, RawTensor(values, as: type, shape: shape))
      }
      try CheckpointWriter.write(to: stored, config: source.config, tensors: tensors)
      let base = try Checkpoint(directory: stored)
      #expect(base.config.dtype == type)
      let model = try VisionLanguageModel(base)
      let found = try logits(goldens, model, "two_images").array
      #expect(relativeDifference(found, try goldens.floats("two_images/logits")) < tolerance)
      _ = try model.save(to: saved, base: base)
      let again = try Checkpoint(directory: saved)
      for name in base.names {
        #expect(again[name]?.type == type && again[name]?.raw() == base[name]?.raw(), "\(name)")
      }
    }
  }

  @Test(arguments: AdapterParityTests.adapted) func adapter(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    var draw = SystemRandomNumberGenerator()
    LowRankAdapters.attach(to: model, rank: 4, alpha: 8) { Double.random(in: 0..<1, using: &draw) }
    // A fresh adapter changes nothing.
    let expected = try goldens.floats("two_images/logits")
    #expect(relativeDifference(try logits(goldens, model, "two_images").array, expected) < 1e-4)
    // B starts at zero: move it, or the file could hold anything.
    for parameter in LowRankAdapters.parameters(of: model) {
      guard let values = parameter.mutableValues else { continue }
      for index in 0..<parameter.count { values[index] += Float.random(in: -0.1...0.1) }
    }
    try withTemporaryDirectory { directory in
      let weights = AdapterFiles.weights(of: model)
      // The names and shapes are those that PEFT wrote.
      let theirs = goldens.adapter + "/" + AdapterFiles.weights
      let reference = try Safetensors.decode(Files.read(theirs), place: theirs).tensors
      let ours = try Safetensors.decode(weights, place: "ours").tensors
      #expect(ours.mapValues(\.shape) == reference.mapValues(\.shape))

      try writeAtomically(weights, to: directory + "/" + AdapterFiles.weights)
      try writeAtomically(
        AdapterFiles.configuration(of: model, rank: 4, alpha: 8, base: goldens.checkpoint),
        to: directory + "/" + AdapterFiles.configuration)
      let again = try goldens.load()
      try AdapterFiles.attach(directory, to: again)
      let found = try logits(goldens, again, "two_images").array
      #expect(found == (try logits(goldens, model, "two_images").array))
      #expect(relativeDifference(found, expected) > 1e-3)
      try checkExport(
        ["adapter", directory, "--base", goldens.checkpoint], goldens.modelSample("two_images"),
        model, in: directory)
    }
  }
}
