import Decoding
import Artifacts
import Checkpoints
import Distillation
import Failures
import Models
import StageKit
import Training

/// The layers of a backbone that speak through verbalizers.
struct LayerReadouts {
  let directory: String
  /// Whether the verbalizers belong to the model that this one was fine-tuned from: the paper hears
  /// the finished model through the verbalizers of step 1.
  let isReused: Bool
  let layers: [Int]
  private let verbalizers: [Verbalizer]
  private let backbone: Backbone

  /// Opens verbalizers for a backbone.
  /// - layers: nil for all that have one.
  /// Throws 66, and 65 when they belong to another model or lack a layer.
  init(_ directory: String, backbone: Backbone, layers: LayerSelection?) throws {
    self.directory = directory
    self.backbone = backbone
    let artifact = try ArtifactReader(directory: directory, kind: .verbalizers)
    isReused = try Self.requireFit(artifact, backbone)
    let all = try VerbalizerSet(artifact)
    let depth = backbone.config.text.layers, width = backbone.config.text.hiddenSize
    guard all.width == width, (all.layers.max() ?? 0) <= depth else {
      throw Failure(
        .badData, "the verbalizers do not fit the model", at: directory,
        expected: "width \(width) and layers 1 to \(depth) of \(backbone.directory)",
        found: "width \(all.width) and layers \(all.layers)")
    }
    let wanted =
      switch layers {
      case nil: all.layers
      case .list(let list): list
      case .every(let first, let step): Array(stride(from: first, through: depth, by: step))
      }
    verbalizers = try wanted.map { layer in
      guard let verbalizer = all[layer] else {
        throw Failure(
          .badData, "no verbalizer for layer \(layer)", at: directory,
          expected: all.layers.map(String.init).joined(separator: ", "))
      }
      return verbalizer
    }
    self.layers = wanted
  }

  /// Whether the verbalizers are reused; throws 65 when they are neither the model's own nor those
  /// of the model that it was fine-tuned from. That is what vlsi-finetune's manifest says, as long
  /// as the weights are still the ones it wrote.
  private static func requireFit(_ artifact: ArtifactReader, _ backbone: Backbone) throws -> Bool {
    let trained = artifact.manifest.inputs["model.weights"]
    if trained == backbone.checkpoint.fingerprint { return false }
    let model = backbone.directory
    guard let trained, Files.exists(Files.join(model, Manifest.fileName)),
      case let manifest = try ArtifactReader.manifest(in: model), manifest.kind == .model,
      manifest.inputs["model.weights"] == trained
    else {
      throw Failure(
        .badData, "the verbalizers belong to another model than \(model)", at: artifact.directory,
        expected: "model.weights \(backbone.checkpoint.fingerprint), or those that it was "
          + "fine-tuned from", found: trained,
        advice: "Give its own verbalizers, or a model that vlsi-finetune made of theirs")
    }
    for file in manifest.files where file.file.hasSuffix(".safetensors") {
      let path = Files.join(model, file.file)
      guard try Fingerprint.file(path) == file.checksum else {
        throw Failure(
          .badData, "the weights are not those that vlsi-finetune wrote", at: path,
          expected: file.checksum,
          advice: "Verbalizers of the model before are reused on its own output alone")
      }
    }
    return true
  }

  /// What the verbalizers are, in one line.
  var description: String {
    isReused
      ? "the verbalizers of \(directory) are reused: \(backbone.directory) was fine-tuned from the "
        + "model that they were trained on"
      : "the verbalizers of \(directory)"
  }

  /// Who speaks: the layers, and unless they are alone, the model itself.
  func readouts(alone: Bool) -> [Readout] {
    verbalizers.map(\.readout) + (alone ? [] : [backbone.model.readout])
  }

  /// Their names, in the same order.
  func names(alone: Bool) -> [AnswerSource] {
    layers.map { .layer($0) } + (alone ? [] : [.model])
  }
}

/// Who an answer comes from.
enum AnswerSource {
  case layer(Int)
  case model
}
