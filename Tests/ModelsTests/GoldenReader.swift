import Artifacts
import Foundation
import Testing

/// What transformers says about one tiny checkpoint: Tests/Goldens/model, described in
/// Tests/Goldens/make_model_goldens.py.
struct Goldens {
  /// A parameter under the hub's name.
  struct Parameter: Decodable {
    var name: String
    var shape: [Int]
    var count: Int { shape.reduce(1, *) }
  }

  private struct Index: Decodable {
    var models: [String: Model]
  }

  /// Two of Qwen2-VL, and one of each other family.
  static let models = ["a", "b", "qwen2.5", "qwen3", "onevision"]

  struct Model: Decodable {
    /// `model_type`.
    var family: String
    var directory: String
    struct Shared: Decodable {
      var prefix: Int
      var questions: [String]
    }
    var cases: [String]
    var packed: [String]
    var shared: Shared
    var prompts: [String: Int]
    var parameters: [Parameter]
    var adapter: [Parameter]?
    /// The stop tokens of a case's beam search.
    var stops: [String: [Int32]]?
  }

  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Goldens/model")

  let name: String
  let model: Model
  private let tensors: [String: RawTensor]

  /// The checkpoint that `save_pretrained` wrote.
  var checkpoint: String { Self.root.appendingPathComponent(name).path }
  /// The adapter that PEFT wrote, for model `a`.
  var adapter: String {
    Self.root.appendingPathComponent(name == "a" ? "adapter" : "adapter-\(name)").path
  }

  init(_ name: String) throws {
    self.name = name
    let index = try JSONDecoder().decode(
      Index.self, from: Data(contentsOf: Self.root.appendingPathComponent("index.json")))
    model = try #require(index.models[name])
    let file = Self.root.appendingPathComponent("\(name)-cases.safetensors")
    tensors = try Safetensors.decode([UInt8](Data(contentsOf: file)), place: file.path).tensors
  }

  func tensor(_ name: String) throws -> RawTensor {
    try #require(tensors[name], "no golden tensor \(name)")
  }

  func floats(_ name: String) throws -> [Float] { try tensor(name).floats() }
  func int32s(_ name: String) throws -> [Int32] { try tensor(name).int32s() }

  func hasTensor(_ name: String) -> Bool { tensors[name] != nil }

  /// The inputs of one case.
  func sample(_ name: String) throws -> GoldenSample {
    let grid = try int32s("\(name)/image_grid").map(Int.init)
    let sizes = hasTensor("\(name)/image_sizes") ? try int32s("\(name)/image_sizes") : []
    return GoldenSample(
      ids: try int32s("\(name)/input_ids"),
      supervised: try tensor("\(name)/supervised").bytes.map { $0 != 0 },
      grids: stride(from: 0, to: grid.count, by: 3).map { Array(grid[$0..<$0 + 3]) },
      pixels: grid.isEmpty ? nil : try tensor("\(name)/pixel_values"),
      sizes: stride(from: 0, to: sizes.count, by: 2).map { Array(sizes[$0..<$0 + 2]) })
  }

  /// Each parameter's gradient, as far as it is kept: its norm, and every `stride`-th value.
  func gradients(
    _ name: String, of parameters: [Parameter]? = nil
  ) throws -> [(parameter: Parameter, norm: Float, values: [Float])] {
    let norms = try floats("\(name)/gradient_norms")
    let values = try floats("\(name)/gradients")
    var start = 0
    var result: [(parameter: Parameter, norm: Float, values: [Float])] = []
    for (parameter, norm) in zip(parameters ?? model.parameters, norms) {
      let count = Goldens.kept(parameter.count).count
      result.append((parameter, norm, Array(values[start..<start + count])))
      start += count
    }
    try #require(start == values.count && result.count == norms.count)
    return result
  }

  /// Which values of a flat tensor the goldens keep.
  static func kept(_ count: Int) -> [Int] {
    Array(stride(from: 0, to: count, by: count <= 64 ? 1 : count / 64 | 1))
  }
}

/// A case's inputs.
struct GoldenSample {
  var ids: [Int32]
  /// True where the token is a target.
  var supervised: [Bool]
  /// For each image (t, h, w) in patches.
  var grids: [[Int]]
  /// All images' patches behind each other, [patches, C T P P], or their tiles [tiles, C, S, S].
  var pixels: RawTensor?
  /// Of tiled images, the pictures' heights and widths.
  var sizes: [[Int32]]
  /// Shared prefix 0, question q >= 1; nil for an ordinary conversation.
  var segments: [Int32]?

  /// The positions that predict a target, and the targets.
  var predictions: [(row: Int, label: Int32)] {
    ids.indices.dropFirst().filter { supervised[$0] }.map { ($0 - 1, ids[$0]) }
  }
}

/// The largest difference, relative to the largest reference value.
func relativeDifference(_ found: [Float], _ expected: [Float]) -> Float {
  guard found.count == expected.count else { return .infinity }
  var scale: Float = 1e-30
  var worst: Float = 0
  for (left, right) in zip(found, expected) {
    guard left.isFinite else { return .infinity }
    scale = max(scale, abs(right))
    worst = max(worst, abs(left - right))
  }
  return worst / scale
}

func norm(_ values: [Float]) -> Float {
  Float(values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
}
