import Artifacts
import Checkpoints
import Failures
import Foundation
import Imaging
import Kernels
import Models
import Tensors
import TestSupport
import Training

@testable import Artifacts

/// Decoders of what goes on into a model, and of an artifact that is looked at though it is damaged.
extension Decoder {
  static func models(_ folder: TemporaryFolder) throws -> [Decoder] {
    let backbone = try Backbone(root + "/data/student")
    return [
      try adapter(folder, backbone.model), try sample(folder, backbone), try damaged(folder),
    ]
  }

  private static func adapter(_ folder: TemporaryFolder, _ model: VisionLanguageModel) throws
    -> Decoder
  {
    LowRankAdapters.attach(to: model, rank: 1, alpha: 2) { 0.25 }
    let weights = AdapterFiles.weights(of: model)
    LowRankAdapters.detach(from: model)
    _ = try folder.folder("adapter")
    try folder.write(weights, to: "adapter/" + AdapterFiles.weights)
    let seed = AdapterFiles.configuration(
      of: model, rank: 1, alpha: 2, base: "data/student")
    return try Decoder("adapter", .json, [seed], quick: 300) {
      try folder.write($0, to: "adapter/" + AdapterFiles.configuration)
      defer { LowRankAdapters.detach(from: model) }
      try AdapterFiles.attach(folder("adapter"), to: model)
    }
  }

  /// A samples record as a stage takes it, through the model where it is short enough.
  private static func sample(_ folder: TemporaryFolder, _ backbone: Backbone) throws -> Decoder {
    let config = backbone.config
    let merge = Int32(Double(config.encoder.patchesPerToken).squareRoot())
    let side = config.encoder.patchSize * Int(merge)
    let image = RawTensor(
      uint8: (0..<(side * side * 3)).map { UInt8(truncatingIfNeeded: $0 * 31) },
      shape: [side, side, 3])
    let ids = [3, Int32(config.imageTokenID), 5, 6, 7, 8]
    let tensors: [(name: String, tensor: RawTensor)] = [
      ("image_grid", RawTensor(int32: [1, merge, merge], shape: [1, 3])),
      ("input_ids", RawTensor(int32: ids, shape: [6])),
      ("labels", RawTensor(int32: [-100, 4, -100, -100, -100, -100], shape: [6])),
      ("segments", RawTensor(int32: [0, 0, 1, 1, 2, 2], shape: [6])),
      ("pixels.0", image),
      ("supervised", RawTensor(uint8: [0, 0, 0, 1, 0, 1], shape: [6])),
    ]
    let path = folder("samples")
    return try Decoder("sample", .safetensors, [Safetensors.encode(tensors)], quick: 200) { bytes in
      let decoded = try Safetensors.decode(bytes, place: "record 0")
      let writer = try ArtifactWriter(directory: path, kind: .samples, settings: [:], discard: true)
      for work in writer.unfinishedShards(of: [0]) {
        try writer.writeShard(work.shard) {
          try $0(Record(index: 0, tensors: decoded.tensors, metadata: [:]))
        }
      }
      try writer.finish()
      defer { try? Files.removeTree(path) }
      let reader = try ExampleReader(
        samples: path, config: config, processor: backbone.processor)
      let example = try reader.example(0)
      let known = 0..<Int32(config.text.vocabularySize)
      guard example.labels.allSatisfy(known.contains) else {
        throw Failure(.software, "a label outside the vocabulary is given to the loss")
      }
      guard example.sample.inputIDs.count < 200 else { return }
      let batch = try ExampleBatch([example], model: backbone.model)
      _ = backbone.model.forward(batch.batch, tape: Tape(recording: false), rows: batch.rows)
    }
  }

  /// One shard of a finished artifact is another, of the same size: `vlsi-dump` looks at it.
  private static func damaged(_ folder: TemporaryFolder) throws -> Decoder {
    let path = folder("artifact")
    let manifest = try ArtifactReader.manifest(in: path)
    let shards = try manifest.shards.map { try Files.read(Files.join(path, $0.file)) }
    // One that has a value on pages of its own.
    let last = shards.count - 1, size = shards[last].count
    return try Decoder("damaged", .bytes, [shards[last]], quick: 500) {
      let bytes = Array($0.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - $0.count))
      try folder.write(bytes, to: "artifact/" + manifest.shards[last].file)
      defer { try? folder.write(shards[last], to: "artifact/" + manifest.shards[last].file) }
      let reader = try ArtifactReader(directory: path, checking: false)
      for index in reader.indices { _ = try? reader.record(index) }
    }
  }
}
