import Artifacts
import Failures
import Models
import Tensors

/// The visual embeddings that vlsi-extract stored beside a backbone's features, for the stages after
/// it: an image is encoded once, as long as its encoder stays what it was.
public struct VisualEmbeddings {
  public let artifact: ArtifactReader
  private let config: any ModelConfig

  /// Opens the features in `directory`. Nil where they hold no visual embeddings of this backbone's
  /// vision encoder.
  /// - Throws: 65 or 66 for a bad artifact, 65 for features of other samples.
  public init?(features directory: String, of backbone: Backbone, samples: ArtifactReader) throws {
    artifact = try ArtifactReader(directory: directory, kind: .features)
    try artifact.requireInput("samples", samples.fingerprint, from: samples.directory)
    guard artifact.manifest.settings["store_visual"]?.asBool == true,
      artifact.manifest.facts["vision"]?.asString == backbone.visionFingerprint
    else { return nil }
    config = backbone.config
  }

  /// Those of these examples [visual tokens, `visualWidth` of the config], in their order; nil where
  /// none has an image.
  /// - Throws: 65 for a record that is damaged or does not fit the example's images.
  public func tensor(of examples: [Example]) throws -> Tensor? {
    var values: [Float] = []
    let width = config.visualWidth
    for example in examples {
      let tokens = example.sample.images.reduce(0) { $0 + (config.imageTokens($1.grid) ?? 0) }
      if tokens == 0 { continue }
      let tensor = try artifact.record(example.index).tensors["visual"]
      guard let tensor, tensor.shape == [tokens, width] else {
        throw Failure(
          .badData, "does not fit the sample's images",
          at: "\(artifact.place(of: example.index)), tensor visual",
          expected: "[\(tokens), \(width)]", found: tensor.map { "\($0.shape)" } ?? "none",
          advice: "Run vlsi-extract again")
      }
      values += try tensor.floats()
    }
    return values.isEmpty ? nil : Tensor(values, [values.count / width, width])
  }
}
