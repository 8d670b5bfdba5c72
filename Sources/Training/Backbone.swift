import Artifacts
import Checkpoints
import Failures
import Imaging
import Qwen2VL
import Tokenization

/// A checkpoint opened for a stage: the model, its tokenizer and its image processor.
public struct Backbone {
  public let directory: String
  public let checkpoint: Checkpoint
  public let model: Qwen2VL
  public let tokenizer: Tokenizer
  public let processor: ImageProcessor

  public var config: Qwen2VLConfig { checkpoint.config }

  /// Opens the checkpoint in `directory`, every weight mapped and frozen. Throws 65 or 66.
  public init(_ directory: String) throws {
    self.directory = directory
    checkpoint = try Checkpoint(directory: directory)
    model = try Qwen2VL(checkpoint)
    tokenizer = try Tokenizer(directory: directory)
    processor = try ImageProcessor(directory: directory)
  }

  /// The fingerprints that artifacts record about the backbone they came from.
  public func fingerprints(as role: String) -> [String: String] {
    [
      "\(role).weights": checkpoint.fingerprint, "\(role).tokenizer": tokenizer.fingerprint,
    ]
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
