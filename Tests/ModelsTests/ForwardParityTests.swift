import Kernels
import Tensors
import Testing

@testable import Decoding
@testable import Models

/// The forward pass is transformers', on checkpoints that transformers saved: positions, merged
/// visual embeddings, every layer's hidden states, logits and the loss. Model `b` lies in bfloat16.
@Suite struct ForwardParityTests {
  /// Hidden states and logits, of the largest value.
  static let tolerance: Float = 1e-4

  @Test(arguments: Goldens.models) func names(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    let found = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.shape) })
    let expected = Dictionary(
      uniqueKeysWithValues: goldens.model.parameters.map { ($0.name, $0.shape) })
    #expect(found == expected)
  }

  @Test(
    arguments: Goldens.models,
    ["one_image", "two_images", "text_only", "several_turns", "images_together"])
  func alone(model name: String, sample: String) throws {
    let goldens = try Goldens(name)
    guard goldens.model.cases.contains(sample) else { return }
    let model = try goldens.load()
    let input = try goldens.packed([sample], for: model)
    let count = input.batch.count
    #expect(
      input.batch.positions.time + input.batch.positions.height + input.batch.positions.width
        == (try goldens.int32s("\(sample)/position_ids")))

    let tape = Tape(recording: false)
    if let visual = model.visualEmbeddings(input.batch, tape: tape) {
      let width = model.config.text.hiddenSize
      #expect(visual.columns == model.config.visualWidth)
      for level in 0...model.config.encoder.deepLevels {
        let expected = try goldens.floats(
          level == 0 ? "\(sample)/visual" : "\(sample)/deepstack.\(level - 1)")
        let found = tape.columns(visual, level * width..<(level + 1) * width).array
        #expect(relativeDifference(found, expected) < Self.tolerance, "level \(level)")
      }
    } else {
      #expect(sample == "text_only")
    }
    let embedded = model.enter(input.batch, tape: tape).x.array
    #expect(
      relativeDifference(embedded, try goldens.floats("\(sample)/hidden.0")) < Self.tolerance)

    let layers = Array(1...model.config.text.layers)
    let output = model.forward(input.batch, tape: tape, layers: Set(layers))
    for layer in layers {
      let found = try #require(output.hidden[layer])
      #expect(found.shape == [count, model.config.text.hiddenSize])
      let expected = try goldens.floats("\(sample)/hidden.\(layer)")
      let difference = relativeDifference(found.array, expected)
      #expect(difference < Self.tolerance, "layer \(layer)")
    }
    let last = try goldens.floats("\(sample)/hidden.last")
    #expect(relativeDifference(output.last.array, last) < Self.tolerance)
    let logits = model.logits(output.last, tape: tape)
    let difference = relativeDifference(logits.array, try goldens.floats("\(sample)/logits"))
    #expect(difference < Self.tolerance)

    let loss = try batchLoss(model, input, tape).scalar
    let streamed = try batchLoss(model, input, tape, head: .streaming).scalar
    #expect(abs(streamed - loss) < 1e-5 * max(1, abs(loss)))
    #expect(abs(loss - (try goldens.floats("\(sample)/loss")[0])) < 1e-5 * max(1, abs(loss)))
  }

  /// Packed samples equal the same samples alone, whatever lies beside them.
  @Test(arguments: Goldens.models) func packed(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    let tape = Tape(recording: false)
    for names in [
      goldens.model.packed, goldens.model.packed.reversed(), ["text_only", "one_image"],
    ] {
      let input = try goldens.packed(names, for: model)
      let output = model.forward(input.batch, tape: tape, layers: [1])
      let width = model.config.text.hiddenSize
      for (sample, rows) in zip(names, input.batch.sampleRows) {
        let range = rows.lowerBound * width..<rows.upperBound * width
        let first = try #require(output.hidden[1]).array
        #expect(
          relativeDifference(Array(first[range]), try goldens.floats("\(sample)/hidden.1"))
            < Self.tolerance)
        #expect(
          relativeDifference(
            Array(output.last.array[range]), try goldens.floats("\(sample)/hidden.last"))
            < Self.tolerance)
      }
    }
    let loss = try batchLoss(model, goldens.packed(goldens.model.packed, for: model), tape).scalar
    #expect(abs(loss - (try goldens.floats("packed/loss")[0])) < 1e-5 * max(1, abs(loss)))
  }

  /// Questions behind one visual prefix equal the same questions asked one by one.
  @Test(arguments: Goldens.models) func sharedPrefix(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    let shared = try goldens.sharedPrefix()
    let other = try goldens.modelSample("text_only")
    let batch = try model.pack([other, shared.sample])
    let tape = Tape(recording: false)
    let width = model.config.text.hiddenSize
    let last = model.forward(batch, tape: tape).last.array
    let prefix = goldens.model.shared.prefix
    let start = batch.sampleRows[1].lowerBound
    var next = start + prefix
    for question in goldens.model.shared.questions {
      let expected = try goldens.floats("\(question)/hidden.last")
      let positions = try goldens.int32s("\(question)/position_ids")
      let count = expected.count / width
      let own = Array(next..<next + count - prefix)
      let rows = Array(start..<start + prefix) + own
      let found = rows.flatMap { Array(last[$0 * width..<($0 + 1) * width]) }
      #expect(relativeDifference(found, expected) < Self.tolerance, "\(question)")
      #expect(rows.map { batch.positions.time[$0] } == Array(positions[..<count]))
      #expect(rows.map { batch.positions.width[$0] } == Array(positions[(2 * count)...]))
      next += own.count
    }
    #expect(next == batch.count)
  }

  /// The rows asked for are the rows of the whole.
  @Test func wantedRows() throws {
    let goldens = try Goldens("a")
    let model = try goldens.load()
    let batch = try model.pack([try goldens.modelSample("several_turns")])
    let tape = Tape(recording: false)
    let whole = model.forward(batch, tape: tape, layers: [2])
    let wanted = [3, 0, 7]
    let some = model.forward(batch, tape: tape, layers: [2], rows: wanted)
    let width = model.config.text.hiddenSize
    for (found, all) in [(some.last, whole.last), (some.hidden[2], whole.hidden[2])] {
      let all = try #require(all).array
      let expected = wanted.flatMap { all[$0 * width..<($0 + 1) * width] }
      #expect(relativeDifference(try #require(found).array, expected) < 1e-6)
    }
  }

  /// Visual embeddings computed before give what the encoder would.
  @Test func storedVisualEmbeddings() throws {
    let goldens = try Goldens("b")
    let model = try goldens.load()
    let batch = try model.pack([try goldens.modelSample("two_images")])
    let tape = Tape(recording: false)
    let values = try goldens.floats("two_images/visual")
    let width = model.config.text.hiddenSize
    let visual = Tensor(values, [values.count / width, width])
    let output = model.forward(batch, tape: tape, visual: visual)
    let expected = try goldens.floats("two_images/hidden.last")
    #expect(relativeDifference(output.last.array, expected) < Self.tolerance)
  }
}
