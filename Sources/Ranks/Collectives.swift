/// What the ranks do together, in terms of streams. All of it on the communication thread.
extension Exchange {
  /// `values[parts[rank]]` becomes the sum over ranks, in their order.
  func sumScattered(_ values: UnsafeMutableBufferPointer<Float>, parts: [Range<Int>]) throws {
    let float = MemoryLayout<Float>.stride
    guard let start = values.baseAddress else { return }
    let own = parts[rank]
    let room = min(Exchange.window, (own.count * float + piece - 1) / piece)
    let scratch = scratch(bytes: (count - 1) * room * piece)
    /// Where the pieces of a peer lie.
    func landing(_ peer: Int) -> UnsafeMutableRawPointer? {
      scratch.map { $0 + (peer < rank ? peer : peer - 1) * room * piece }
    }
    let received = peers.compactMap { peer in
      landing(peer).map { Stream(.receiving, peer, $0, own.count * float, room: room) }
    }
    let sent = peers.map { peer in
      Stream(
        .sending, peer, UnsafeMutableRawPointer(start + parts[peer].lowerBound),
        parts[peer].count * float)
    }
    let floats = piece / float
    try run(received + sent) { number in
      let first = number * floats
      FixedOrder.add(
        start + own.lowerBound + first, rank: rank,
        others: (0..<count).filter { $0 != rank }.compactMap(landing).map {
          ($0 + number % room * piece).assumingMemoryBound(to: Float.self)
        }, count: min(floats, own.count - first))
    }
  }

  /// Every rank's part comes to all the others.
  func gather(_ bytes: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) throws {
    try run(
      peers.flatMap { peer in
        streams(.receiving, peer, bytes, parts[peer]) + streams(.sending, peer, bytes, parts[rank])
      })
  }

  /// Every rank's part comes to rank 0.
  func collect(_ bytes: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) throws {
    try run(
      rank == 0
        ? peers.flatMap { streams(.receiving, $0, bytes, parts[$0]) }
        : streams(.sending, 0, bytes, parts[rank]))
  }

  /// Every rank's part comes from rank 0.
  func distribute(_ bytes: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) throws {
    try run(
      rank == 0
        ? peers.flatMap { streams(.sending, $0, bytes, parts[$0]) }
        : streams(.receiving, 0, bytes, parts[rank]))
  }

  /// All of the bytes come from rank 0.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer) throws {
    try run(
      rank == 0
        ? peers.flatMap { streams(.sending, $0, bytes, 0..<bytes.count) }
        : streams(.receiving, 0, bytes, 0..<bytes.count))
  }

  private func streams(
    _ direction: Stream.Direction, _ peer: Int, _ bytes: UnsafeMutableRawBufferPointer,
    _ part: Range<Int>
  ) -> [Stream] {
    bytes.baseAddress.map { [Stream(direction, peer, $0 + part.lowerBound, part.count)] } ?? []
  }
}
