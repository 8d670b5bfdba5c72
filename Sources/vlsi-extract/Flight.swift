import Artifacts
import Kernels
import Models
import Tensors
import Training

/// Passes that go through the decoder blocks together, so that a block's weights are read once for all
/// of them. No pass depends on another: however many go together, the records are the same.
final class Flight {
  private let extraction: Extraction
  private let weights: BlockWeights?
  private let tape = Tape(recording: false)
  private var passes: [Pass] = []
  private var records: [Record] = []
  /// Tokens of all samples on board.
  private(set) var tokens = 0

  /// A packed batch between two blocks.
  private struct Pass {
    var passage: VisionLanguageModel.Passage
    /// The packed rows whose states are wanted.
    let rows: [Int]
    /// Of `rows`, those of each record from `first` on.
    let stretches: [Range<Int>]
    let first: Int
  }

  /// - Parameter weights: asked for ahead of the passes; nil leaves that to the system
  init(_ extraction: Extraction, fetching weights: BlockWeights?) {
    self.extraction = extraction
    self.weights = weights
  }

  /// How many samples are on board.
  var count: Int { records.count }
  /// Whether more than one pass is.
  var isShared: Bool { passes.count > 1 }

  /// Takes on examples: one pass of those that are heard, and the vision encoder alone for the others.
  /// - Throws: 65 for an example that does not fit the model or its stored embeddings.
  func enter(_ examples: [Example]) throws {
    if records.isEmpty { weights?.fetch(0) }
    for isHeard in [true, false] {
      let part = examples.filter { extraction.heard.contains($0.index) == isHeard }
      if !part.isEmpty { try enter(part, heard: isHeard) }
    }
    tokens += examples.reduce(0) { $0 + $1.sample.inputIDs.count }
  }

  private func enter(_ examples: [Example], heard: Bool) throws {
    let model = extraction.model
    let packed = try ExampleBatch(examples, model: model)
    let visual =
      try extraction.known.map { try $0.tensor(of: examples) }
      ?? model.visualEmbeddings(packed.batch, tape: tape)
    if heard {
      passes.append(
        Pass(
          passage: model.enter(packed.batch, tape: tape, visual: visual), rows: packed.rows,
          stretches: packed.stretches, first: records.count))
    }
    var visualStart = 0
    for (example, rows) in zip(examples, packed.stretches) {
      var tensors: [String: RawTensor] = [
        "positions": RawTensor(int32: example.positions, shape: [rows.count]),
        "labels": RawTensor(int32: example.labels, shape: [rows.count]),
      ]
      let count = example.sample.inputIDs.count { Int($0) == model.config.imageTokenID }
      if extraction.stores, let visual, count > 0 {
        tensors["visual"] = visual.stored(visualStart..<visualStart + count)
      }
      visualStart += count
      records.append(Record(index: example.index, tensors: tensors))
    }
  }

  /// Takes all through the decoder blocks and returns their records, in ascending order.
  /// - Parameter onward: called before a block computes a pass, with the part of the way that lies
  ///   behind
  func land(_ onward: (_ part: Double) throws -> Void) throws -> [Record] {
    let model = extraction.model
    let blocks = passes.isEmpty ? 0..<0 : model.language.blocks.indices
    for layer in blocks {
      if layer + 1 < blocks.count { weights?.fetch(layer + 1) }
      for place in passes.indices {
        try onward(
          (Double(layer) + Double(place) / Double(passes.count)) / Double(blocks.count))
        let output = model.block(layer, &passes[place].passage, tape: tape)
        if extraction.layers.contains(layer + 1) {
          store(tape.gatherRows(output, passes[place].rows), "hidden.\(layer + 1)", passes[place])
        }
      }
    }
    for pass in passes {
      store(model.last(pass.passage, rows: pass.rows, tape: tape), "hidden.last", pass)
    }
    passes = []
    return records.sorted { $0.index < $1.index }
  }

  private func store(_ states: Tensor, _ name: String, _ pass: Pass) {
    for (place, rows) in pass.stretches.enumerated() {
      records[pass.first + place].tensors[name] = states.stored(rows)
    }
  }
}

extension Tensor {
  /// Some rows, as they are stored: in bfloat16.
  fileprivate func stored(_ rows: Range<Int>) -> RawTensor {
    let start = values + rows.lowerBound * columns
    return RawTensor(
      UnsafeBufferPointer(start: start, count: rows.count * columns), as: .bfloat16,
      shape: [rows.count, columns])
  }
}
