import Artifacts
import Checkpoints
import Failures
import Imaging
import Models
import Tokenization

/// A checkpoint opened for a stage: the model, its tokenizer and its image processor.
public struct Backbone {
  public let directory: String
  public let checkpoint: Checkpoint
  public let model: VisionLanguageModel
  /// What stands before the weights, held against the config.
  public let parts: CheckpointProcessor
  public var tokenizer: Tokenizer { parts.tokenizer }
  public var processor: ImageProcessor { parts.images }

  public var config: any ModelConfig { checkpoint.config }

  /// Opens the checkpoint in `directory`, every weight mapped and frozen, and holds its files
  /// against each other. Throws 65 or 66.
  public init(_ directory: String) throws {
    self.directory = directory
    checkpoint = try Checkpoint(directory: directory)
    model = try VisionLanguageModel(checkpoint)
    parts = try CheckpointProcessor(directory: directory, config: checkpoint.config)
  }

  /// The fingerprints that artifacts record about the backbone they came from.
  public func fingerprints(as role: String) -> [String: String] {
    [
      "\(role).weights": checkpoint.fingerprint, "\(role).tokenizer": tokenizer.fingerprint,
    ]
  }

  /// A digest of the vision encoder: the same for checkpoints that see images alike.
  public var visionFingerprint: String {
    checkpoint.fingerprint(of: model.parameters(of: [.vision]).map(\.name))
  }

  /// Refuses samples that were prepared with another tokenizer. Throws 65 naming both.
  public func requireSamples(_ samples: ArtifactReader) throws {
    guard let theirs = samples.manifest.facts["tokenizer"]?.asString else { return }
    if theirs != tokenizer.fingerprint {
      throw Failure(
        .badData, "the samples were prepared with another tokenizer than the model's",
        at: samples.directory, expected: "\(tokenizer.fingerprint) of \(directory)", found: theirs,
        advice: "Teacher and student must share one tokenizer; prepare the samples for it.")
    }
  }
}
