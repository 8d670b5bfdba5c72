import Checkpoints
import Distillation
import Foundation
import Imaging
import Kernels
import Tensors
import Testing

@testable import Decoding
@testable import Models

extension Goldens {
  /// A fresh model over the golden checkpoint, everything frozen.
  func load() throws -> VisionLanguageModel {
    try VisionLanguageModel(Checkpoint(directory: checkpoint))
  }

  /// The product's form of a case, and what it predicts.
  func modelSample(_ name: String) throws -> ModelSample {
    let golden = try sample(name)
    let config = try ModelFamilies.config(directory: checkpoint)
    let patchWidth = config.encoder.patchDimension
    let patches = try golden.patches(side: config.encoder.patchSize)
    var start = 0
    let images = golden.grids.enumerated().map { number, grid -> ModelImage in
      let size = golden.sizes.isEmpty || grid[0] == 1 ? nil : golden.sizes[number]
      let count = grid[0] * grid[1] * grid[2] * patchWidth
      defer { start += count }
      return ModelImage(
        grid: ImageGrid(
          time: grid[0], height: grid[1], width: grid[2],
          original: size.map { ImageTiling.Size(height: Int($0[0]), width: Int($0[1])) }),
        patches: Array(patches[start..<start + count]))
    }
    return ModelSample(inputIDs: golden.ids, images: images)
  }

  /// A sample up to where its answer begins.
  func prompt(_ name: String) throws -> ModelSample {
    var sample = try modelSample(name)
    sample.inputIDs = Array(sample.inputIDs[..<(try #require(model.prompts[name]))])
    return sample
  }

  /// Some cases packed into one batch, with the packed rows that predict and the tokens predicted.
  func packed(
    _ names: [String], for model: VisionLanguageModel
  ) throws -> (batch: PackedBatch, rows: [Int], labels: [Int32]) {
    let batch = try model.pack(try names.map(modelSample))
    var rows: [Int] = [], labels: [Int32] = []
    for (name, range) in zip(names, batch.sampleRows) {
      for prediction in try sample(name).predictions {
        rows.append(range.lowerBound + prediction.row)
        labels.append(prediction.label)
      }
    }
    return (batch, rows, labels)
  }

  /// The questions behind one shared prefix, as one sample.
  func sharedPrefix() throws -> (sample: ModelSample, rows: [Int], labels: [Int32]) {
    var joined = try modelSample(model.shared.questions[0])
    let prefix = model.shared.prefix
    joined.inputIDs = Array(joined.inputIDs[..<prefix])
    var segments = [Int32](repeating: 0, count: prefix)
    var rows: [Int] = [], labels: [Int32] = []
    for (number, name) in model.shared.questions.enumerated() {
      let question = try sample(name)
      for prediction in question.predictions {
        rows.append(joined.inputIDs.count + prediction.row - prefix)
        labels.append(prediction.label)
      }
      joined.inputIDs += question.ids[prefix...]
      segments += [Int32](repeating: Int32(number + 1), count: question.ids.count - prefix)
    }
    joined.segments = segments
    return (joined, rows, labels)
  }
}

/// The mean cross-entropy of `logits` [rows, V] against `labels`, by the dense formula in double
/// precision: the reference of these tests, independent of the streaming head.
func denseCrossEntropy(_ tape: Tape, _ logits: Tensor, _ labels: [Int32]) -> Tensor {
  let words = logits.columns
  let loss = tape.result([1], needsGradient: logits.needsGradient)
  var total = 0.0
  var gradient = [Float](repeating: 0, count: logits.count)
  for (row, label) in labels.enumerated() {
    let values = (0..<words).map { Double(logits.values[row * words + $0]) }
    let top = values.max() ?? 0
    let sum = values.reduce(0) { $0 + exp($1 - top) }
    total += top + log(sum) - values[Int(label)]
    for word in 0..<words {
      let probability = exp(values[word] - top) / sum - (word == Int(label) ? 1 : 0)
      gradient[row * words + word] = Float(probability / Double(labels.count))
    }
  }
  loss.values[0] = Float(total / Double(labels.count))
  tape.record(loss) { arrived in
    guard let target = logits.gradientSum() else { return }
    for index in gradient.indices { target[index] += gradient[index] * arrived[0] }
  }
  return loss
}

/// How a test takes the loss: by the dense formula, or as the programs do, streaming over the
/// vocabulary.
enum Head { case dense, streaming }

/// A batch's mean loss at `rows`, on a tape.
func batchLoss(
  _ model: VisionLanguageModel, _ input: (batch: PackedBatch, rows: [Int], labels: [Int32]),
  _ tape: Tape,
  head: Head = .dense, checkpointing: Bool = false
) throws -> Tensor {
  let output = model.forward(
    input.batch, tape: tape, rows: input.rows, recomputing: checkpointing ? .all : .none)
  switch head {
  case .dense:
    return denseCrossEntropy(tape, model.logits(output.last, tape: tape), input.labels)
  case .streaming:
    return try tape.crossEntropy(output.last, model.head, labels: input.labels)
  }
}

/// Compares parameters' gradients with those kept under `name`: what is kept of each tensor, and its
/// norm, within 1e-3 of the tensor's norm. Returns the largest difference found.
@discardableResult
func expectGradients(
  _ goldens: Goldens, _ name: String, _ parameters: [String: Parameter],
  of kept: [Goldens.Parameter]? = nil, tolerance: Float = 1e-3,
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> Float {
  var worst: Float = 0
  let scale = try goldens.floats("\(name)/gradient_norms").max() ?? 0
  for expected in try goldens.gradients(name, of: kept) {
    let parameter = try #require(
      parameters[expected.parameter.name], "no parameter \(expected.parameter.name)")
    #expect(parameter.shape == expected.parameter.shape, sourceLocation: sourceLocation)
    let found = parameter.gradient?.array ?? [Float](repeating: 0, count: parameter.count)
    let values = Goldens.kept(found.count).map { found[$0] }
    // A tensor that takes no part (the vision encoder of a text) is exactly zero in both.
    // The bias of a key adds the same to all scores of a query: what is left of its gradient is
    // rounding, as coarse as the products are.
    let floor =
      expected.parameter.name.hasSuffix("k_proj.bias")
      ? max(1e-5, 1e-3 * tolerance) * scale : 1e-6 * scale
    let unit = max(norm(expected.values), floor)
    let difference = norm(zip(values, expected.values).map { $0 - $1 }) / unit
    let normDifference = abs(norm(found) - expected.norm) / max(expected.norm, floor)
    #expect(
      difference < tolerance && normDifference < tolerance,
      "\(name), \(expected.parameter.name): values \(difference), norm \(normDifference)",
      sourceLocation: sourceLocation)
    worst = max(worst, difference, normDifference)
  }
  return worst
}

extension VisionLanguageModel {
  /// The parameters by the hub's names.
  var named: [String: Parameter] {
    Dictionary(parameters.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }
}

extension GoldenSample {
  /// [patches, values of a patch]: tiles are cut into squares of `side`, what does not fill one left
  /// out.
  func patches(side: Int) throws -> [Float] {
    guard let pixels else { return [] }
    let values = try pixels.floats()
    guard pixels.shape.count == 4 else { return values }
    let (tiles, channels, size) = (pixels.shape[0], pixels.shape[1], pixels.shape[2])
    var patches: [Float] = []
    for tile in 0..<tiles {
      for top in stride(from: 0, through: size - side, by: side) {
        for left in stride(from: 0, through: size - side, by: side) {
          for channel in 0..<channels {
            for row in top..<top + side {
              let start = ((tile * channels + channel) * size + row) * size + left
              patches += values[start..<start + side]
            }
          }
        }
      }
    }
    return patches
  }
}
