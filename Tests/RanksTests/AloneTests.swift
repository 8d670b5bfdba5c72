import Testing

@testable import Ranks

@Suite("Parts, order, and one rank alone")
struct AloneTests {
  @Test("Parts cover everything and differ by one at most")
  func parts() {
    for count in 1...7 {
      for length in [0, 1, 2, 6, 7, 8, 100, Int(Int32.max) * 3 + 1] {
        let parts = Ranks.parts(of: length, among: count)
        #expect(Ranks.areParts(parts, of: length, among: count))
        #expect(parts.reduce(0) { $0 + $1.count } == length)
        #expect(parts[0].count - parts[count - 1].count <= 1)
      }
    }
  }

  @Test("Parts that overlap, leave the range or are not one for each rank are none")
  func wrongParts() {
    #expect(Ranks.areParts([0..<2, 2..<2, 5..<6], of: 6, among: 3))
    #expect(!Ranks.areParts([0..<2, 1..<3], of: 6, among: 2))
    #expect(!Ranks.areParts([2..<3, 0..<2], of: 6, among: 2))
    #expect(!Ranks.areParts([0..<2, 2..<7], of: 6, among: 2))
    #expect(!Ranks.areParts([0..<6], of: 6, among: 2))
  }

  @Test("A sum has the order of the ranks, whichever of them adds", arguments: 2...5)
  func order(count: Int) {
    let length = 5000
    func value(_ rank: Int, _ i: Int) -> Float { Float(i % 97 + 1) / Float(rank * 31 + 3) }
    for rank in 0..<count {
      let rows = (0..<count).map { row in
        let all = UnsafeMutablePointer<Float>.allocate(capacity: length)
        for i in 0..<length { all[i] = value(row, i) }
        return all
      }
      defer { rows.forEach { $0.deallocate() } }
      let others = rows.indices.filter { $0 != rank }.map { rows[$0] }
      FixedOrder.add(rows[rank], rank: rank, others: others, count: length)
      let isExact = (0..<length).allSatisfy { i in
        rows[rank][i] == (1..<count).reduce(value(0, i)) { $0 + value($1, i) }
      }
      #expect(isExact)
    }
  }

  @Test("Alone, nothing changes and nothing is sent")
  func alone() throws {
    let ranks = Ranks.alone
    #expect((ranks.rank, ranks.count, ranks.parts(of: 3)) == (0, 1, [0..<3]))
    var values: [Float] = [1, 2, 3]
    try values.withUnsafeMutableBufferPointer { values in
      try ranks.sum(values)
      try ranks.sumScattered(values, parts: [0..<3])
      try ranks.beginSumScattered(values, parts: [0..<3]).wait()
      try ranks.gather(values, parts: [0..<3])
      let bytes = UnsafeMutableRawBufferPointer(values)
      try ranks.gather(bytes, parts: [0..<12])
      try ranks.collect(bytes, parts: [0..<12])
      try ranks.distribute(bytes, parts: [0..<12])
    }
    #expect(values == [1, 2, 3])
    #expect(try ranks.sum([0.5]) == [0.5])
    #expect(try ranks.any(true) && !ranks.any(false))
    #expect(try ranks.broadcast([1, 2]) == [1, 2])
    try ranks.barrier()
    try ranks.finish()
    #expect(ranks.bytesSent == 0)
  }
}
