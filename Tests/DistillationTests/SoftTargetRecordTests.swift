import Artifacts
import Failures
import Kernels
import Testing

@testable import Distillation

@Suite struct SoftTargetRecordTests {
  static let exact = SoftTargetRecord(
    index: 5, positions: [3, 4], labels: [7, 8],
    layers: [
      .layer(2): .exact(projected: [0.5, -0.25, 1, 2, 3, 4], entropy: [0.5, 0.1]),
      .last: .exact(projected: [0, 0, 1, 1, 2, 2], entropy: [0, 0]),
    ])

  static let largest = SoftTargetRecord(
    index: 5, positions: [3], labels: [7],
    layers: [
      .last: .largest(
        LanguageHead.Largest(
          k: 2, indices: [9, 1], probabilities: [0.5, 0.25], tail: [0.25], entropy: [1.03]))
    ])

  @Test("Both forms come back as they were stored, under DESIGN.md's names")
  func roundTrip() throws {
    let record = Self.exact.record(width: 3, precision: .float16)
    #expect(
      Set(record.tensors.keys) == [
        "positions", "labels", "projected.2", "entropy.2", "projected.last", "entropy.last",
      ])
    #expect(record.tensors["projected.2"]?.type == .float16)
    #expect(record.tensors["entropy.2"]?.type == .float32)
    let read = try SoftTargetRecord(
      record, layers: [.layer(2), .last], width: 3, place: "test")
    #expect(read == Self.exact)

    let topk = Self.largest.record(width: 3, precision: .float16)
    #expect(
      Set(topk.tensors.keys) == [
        "positions", "labels", "indices.last", "probabilities.last", "tail.last", "entropy.last",
      ])
    #expect(topk.tensors["probabilities.last"]?.type == .float16)
    #expect(
      try SoftTargetRecord(topk, layers: [.last], width: 3, place: "test") == Self.largest)
  }

  @Test("A sample without supervised positions has empty tensors")
  func empty() throws {
    let none = SoftTargetRecord(
      index: 0, positions: [], labels: [], layers: [.last: .exact(projected: [], entropy: [])])
    let record = none.record(width: 3, precision: .bfloat16)
    #expect(record.tensors["projected.last"]?.shape == [0, 3])
    #expect(try SoftTargetRecord(record, layers: [.last], width: 3, place: "test") == none)
  }

  @Test("What is missing or does not fit is named")
  func refused() throws {
    let record = Self.exact.record(width: 3, precision: .float16)
    func message(_ record: Record, _ layers: [TargetLayer], width: Int = 3) -> String {
      do {
        _ = try SoftTargetRecord(record, layers: layers, width: width, place: "shard, record 5")
        return "read"
      } catch {
        return "\(error)"
      }
    }
    #expect(message(record, [.layer(6)]).contains("entropy.6"))
    #expect(message(record, [.last], width: 4).contains("expected [2, 4], found [2, 3]"))
    var infinite = record
    infinite.tensors["entropy.last"] = RawTensor(float32: [.infinity, 0], shape: [2])
    #expect(message(infinite, [.last]).contains("not finite"))
  }
}
