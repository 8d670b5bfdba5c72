/// Sums in the order of ranks, ((r0 + r1) + r2) + …, whatever arrived first: the same bytes with
/// every library, transport and timing.
enum FixedOrder {
  /// Floats that are summed over all ranks before the next: what is in between stays in the cache.
  private static let block = 2048

  /// `own` [count] becomes the sum over ranks.
  /// - Parameters:
  ///   - rank: whose values `own` has
  ///   - others: the values of the other ranks [ranks - 1][count], by rank; they are overwritten
  static func add(
    _ own: UnsafeMutablePointer<Float>, rank: Int, others: [UnsafeMutablePointer<Float>],
    count: Int
  ) {
    var terms = others
    terms.insert(own, at: rank)
    for start in stride(from: 0, to: count, by: block) {
      let length = min(block, count - start)
      for term in 1..<terms.count {
        let target = term == terms.count - 1 ? own : terms[0]
        add(terms[0] + start, terms[term] + start, into: target + start, length)
      }
    }
  }

  private static func add(
    _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>,
    into sum: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    for i in 0..<count { sum[i] = a[i] + b[i] }
  }
}
