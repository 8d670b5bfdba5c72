import Tensors
import Testing

@testable import Models

/// Batches that go through each decoder block together come to the very numbers that they come to one
/// after the other: of every family, with images in tiles and with visual levels too.
@Suite struct PassageTests {
  @Test(arguments: Goldens.models) func together(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    let tape = Tape(recording: false)
    let batches = try [goldens.model.packed, ["one_image"], ["text_only"]].map {
      try goldens.packed($0, for: model).batch
    }
    let rows = [0, 2, 3]
    let layers = Set(1...model.config.text.layers)
    var passages = batches.map { model.enter($0, tape: tape) }
    var hidden = [[Int: [Float]]](repeating: [:], count: batches.count)
    for layer in model.language.blocks.indices {
      for place in passages.indices {
        let output = model.block(layer, &passages[place], tape: tape)
        hidden[place][layer + 1] = tape.gatherRows(output, rows).array
      }
    }
    for (place, batch) in batches.enumerated() {
      let alone = model.forward(batch, tape: tape, layers: layers, rows: rows)
      #expect(alone.hidden.mapValues(\.array) == hidden[place])
      #expect(model.last(passages[place], rows: rows, tape: tape).array == alone.last.array)
    }
  }
}
