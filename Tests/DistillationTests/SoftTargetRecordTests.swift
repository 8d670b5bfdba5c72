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

  static let vectors = SoftTargetRecord(
    index: 5, positions: [3, 4], labels: [7, 8], layers: exact.layers,
    vectors: [
      .layer(2): TeacherVectors(width: 2, values: [1, -2, 0.5, 8], logSumExp: [3.25, -1]),
      .last: TeacherVectors(width: 2, values: [0, 0, 1, 1], logSumExp: [0, 7]),
    ])

  /// A record as it is read, the layers asked for.
  static func read(_ record: Record, _ layers: [TargetLayer], width: Int = 3) throws
    -> SoftTargetRecord
  {
    let stored = try StoredTargets(record, width: width, place: "shard, record 5")
    return SoftTargetRecord(
      index: stored.index, positions: stored.positions, labels: stored.labels,
      layers: Dictionary(uniqueKeysWithValues: try layers.map { ($0, try stored.soft($0)) }))
  }

  @Test("All forms come back as they were stored, under DESIGN.md's names")
  func roundTrip() throws {
    let record = Self.exact.record(width: 3, precision: .float16)
    #expect(
      Set(record.tensors.keys) == [
        "positions", "labels", "projected.2", "entropy.2", "projected.last", "entropy.last",
      ])
    #expect(record.tensors["projected.2"]?.type == .float16)
    #expect(record.tensors["entropy.2"]?.type == .float32)
    #expect(try Self.read(record, [.layer(2), .last]) == Self.exact)

    let topk = Self.largest.record(width: 3, precision: .float16)
    #expect(
      Set(topk.tensors.keys) == [
        "positions", "labels", "indices.last", "probabilities.last", "tail.last", "entropy.last",
      ])
    #expect(topk.tensors["probabilities.last"]?.type == .float16)
    #expect(try Self.read(topk, [.last]) == Self.largest)

    let whole = Self.vectors.record(width: 3, precision: .float16)
    #expect(
      Set(whole.tensors.keys)
        == Set(record.tensors.keys).union([
          "vector.2", "logsumexp.2", "vector.last", "logsumexp.last",
        ]))
    #expect(whole.tensors["vector.2"]?.type == .float16)
    #expect(whole.tensors["logsumexp.2"]?.type == .float32)
    #expect(try Self.read(whole, [.layer(2), .last]) == Self.exact)
    let stored = try StoredTargets(whole, width: 3, place: "test")
    for layer in [TargetLayer.layer(2), .last] {
      #expect(try stored.vectors(layer) == Self.vectors.vectors[layer])
    }
    let joined = TeacherVectors.joined([try stored.vectors(.last), try stored.vectors(.layer(2))])
    #expect(joined.values == [0, 0, 1, 1, 1, -2, 0.5, 8] && joined.positions == 4)
    #expect(joined.rows(2..<4) == (try stored.vectors(.layer(2))))
  }

  @Test("A sample without supervised positions has empty tensors")
  func empty() throws {
    let none = SoftTargetRecord(
      index: 0, positions: [], labels: [], layers: [.last: .exact(projected: [], entropy: [])])
    let record = none.record(width: 3, precision: .bfloat16)
    #expect(record.tensors["projected.last"]?.shape == [0, 3])
    #expect(try Self.read(record, [.last]) == none)
  }

  @Test("What is missing or does not fit is named")
  func refused() throws {
    let record = Self.exact.record(width: 3, precision: .float16)
    func message(_ record: Record, _ layers: [TargetLayer], width: Int = 3) -> String {
      do {
        _ = try Self.read(record, layers, width: width)
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
    let exact = try StoredTargets(record, width: 3, place: "test")
    #expect(throws: Failure.self) { try exact.vectors(.last) }
  }
}
