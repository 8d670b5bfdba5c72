import Artifacts
import Models
import Tensors
import Training

/// What is extracted from a backbone, example by example.
struct Extraction {
  let model: VisionLanguageModel
  /// The target layers.
  let layers: [Int]
  /// The samples whose hidden states are wanted.
  let heard: Set<Int>
  /// Visual embeddings that were stored before; nil encodes the images.
  let known: VisualEmbeddings?
  /// Whether visual embeddings are wanted.
  let stores: Bool

  /// The records of these examples, in their order, by one pass of those that are heard and one of
  /// the vision encoder over the others.
  func records(of examples: [Example]) throws -> [Record] {
    let parts = [true, false].map { isHeard in
      examples.filter { heard.contains($0.index) == isHeard }
    }
    let records =
      try self.records(of: parts[0], heard: true) + self.records(of: parts[1], heard: false)
    return records.sorted { $0.index < $1.index }
  }

  private func records(of examples: [Example], heard: Bool) throws -> [Record] {
    if examples.isEmpty { return [] }
    let tape = Tape(recording: false)
    let packed = try ExampleBatch(examples, model: model)
    let visual =
      try known.map { try $0.tensor(of: examples) }
      ?? model.visualEmbeddings(packed.batch, tape: tape)
    let output =
      heard
      ? model.forward(
        packed.batch, tape: tape, layers: Set(layers), rows: packed.rows, visual: visual) : nil
    var visualStart = 0
    return zip(examples, packed.stretches).map { example, rows in
      var tensors: [String: RawTensor] = [
        "positions": RawTensor(int32: example.positions, shape: [rows.count]),
        "labels": RawTensor(int32: example.labels, shape: [rows.count]),
      ]
      if let output {
        tensors["hidden.last"] = output.last.stored(rows)
        for (layer, tensor) in output.hidden { tensors["hidden.\(layer)"] = tensor.stored(rows) }
      }
      let count = example.sample.inputIDs.count { Int($0) == model.config.imageTokenID }
      if stores, let visual, count > 0 {
        tensors["visual"] = visual.stored(visualStart..<visualStart + count)
      }
      visualStart += count
      return Record(index: example.index, tensors: tensors)
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
