import Failures
import Glibc
import Synchronization

/// Bytes on their way from or to another rank, piece after piece in order.
struct Stream {
  enum Direction { case sending, receiving }
  let direction: Direction
  let peer: Int
  let start: UnsafeMutableRawPointer
  /// Bytes in all.
  let count: Int
  /// Received pieces that find room at `start`: the next takes the place of the first, once that
  /// is consumed. Nil where all do.
  var room: Int?

  /// Pieces on their way, a bit for each by its number modulo `Exchange.window`.
  fileprivate var open: UInt8 = 0
  fileprivate var begun = 0
  /// Pieces that have arrived, up to the first that has not.
  fileprivate var done = 0

  init(
    _ direction: Direction, _ peer: Int, _ start: UnsafeMutableRawPointer, _ count: Int,
    room: Int? = nil
  ) {
    (self.direction, self.peer, self.start, self.count) = (direction, peer, start, count)
    self.room = room
  }
}

/// Moves bytes between ranks with sends and receives that each name a peer: who is waited for is
/// known, and what arrives first decides nothing. Everything here runs on the communication thread,
/// but for `bytesSent` and `demandedAbort`.
final class Exchange: @unchecked Sendable {
  let mpi: MPILibrary
  let rank: Int
  let count: Int
  /// Seconds without any message after which those who are silent are taken for lost.
  let patience: Double
  /// Whether somebody may be at something that takes longer.
  let isPatient = Atomic<Bool>(false)
  let bytesSent = Atomic<Int>(0)
  /// The exit code that another thread wants all ranks to end with.
  let demandedAbort = Atomic<Int>(Exchange.noAbort)
  static let noAbort = Int.min

  /// Pieces of a stream on their way at once.
  static let window = 4
  /// Bytes that received pieces take at most before they are added.
  static let scratchBytes = 16 << 20
  /// Bytes of a piece at most.
  static let pieceBytes = 1 << 20

  /// Bytes of a piece, the same on all ranks: a multiple of 64.
  let piece: Int
  private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private let status = UnsafeMutableRawPointer.allocate(
    byteCount: MPILibrary.statusSize, alignment: 16)

  init(_ mpi: MPILibrary, rank: Int, count: Int, patience: Double) {
    (self.mpi, self.rank, self.count, self.patience) = (mpi, rank, count, patience)
    let share = Exchange.scratchBytes / (Exchange.window * (count - 1))
    piece = max(64, min(Exchange.pieceBytes, share) & ~63)
  }

  deinit {
    scratch.deallocate()
    status.deallocate()
  }

  /// The other ranks, from the next one on: not all begin with the same.
  var peers: [Int] { (1..<count).map { (rank + $0) % count } }

  /// Room for received pieces, `scratchBytes` at most, kept for the next time.
  func scratch(bytes: Int) -> UnsafeMutableRawPointer? {
    if scratch.count < bytes {
      scratch.deallocate()
      scratch = .allocate(byteCount: bytes, alignment: 64)
    }
    return scratch.baseAddress
  }

  /// Moves all of the streams; returns when what was received is there and what was sent may be
  /// overwritten.
  /// - Parameter consume: called with 0, 1, …, when that piece is there of all who send; its room
  ///   is free then. All streams with limited room are of one length.
  /// - Throws: 75 where a peer is lost, 70 where it sends something else than is expected. After
  ///   that nothing but `abort` may follow.
  func run(_ all: [Stream], consume: (Int) -> Void = { _ in }) throws {
    var streams = all.filter { $0.count > 0 }
    guard !streams.isEmpty else { return }
    let slots = streams.count * Exchange.window
    let requests = UnsafeMutableRawPointer.allocate(
      byteCount: slots * mpi.requestSize, alignment: 8)
    defer { requests.deallocate() }
    for slot in 0..<slots {
      switch mpi.family {
      case .openMPI: requests.storeBytes(of: mpi.noRequest, toByteOffset: 8 * slot, as: UInt.self)
      case .mpich:
        requests.storeBytes(
          of: UInt32(mpi.noRequest), toByteOffset: 4 * slot, as: UInt32.self)
      }
    }
    let landing = streams.indices.filter { streams[$0].room != nil }
    let pieces = landing.first.map { self.pieces(streams[$0]) } ?? 0
    var consumed = 0
    var pause = Pause()
    while true {
      var moved = false
      for index in streams.indices {
        while canBegin(streams[index], consumed: consumed) {
          try begin(&streams[index], index, requests)
          moved = true
        }
      }
      while let slot = try nextDone(slots, requests, streams) {
        let index = slot / Exchange.window
        streams[index].open &= ~(1 << UInt8(slot % Exchange.window))
        while streams[index].done < streams[index].begun,
          streams[index].open & bit(streams[index].done) == 0
        {
          streams[index].done += 1
        }
        moved = true
      }
      if consumed < pieces, landing.allSatisfy({ streams[$0].done > consumed }) {
        consume(consumed)
        consumed += 1
        moved = true
      }
      if !moved {
        if streams.allSatisfy({ $0.done == self.pieces($0) }) { return }
        try wait(&pause, for: streams)
      } else {
        pause = Pause()
      }
    }
  }

  private func pieces(_ stream: Stream) -> Int { (stream.count + piece - 1) / piece }

  private func bit(_ number: Int) -> UInt8 { 1 << UInt8(number % Exchange.window) }

  private func canBegin(_ stream: Stream, consumed: Int) -> Bool {
    stream.begun < pieces(stream) && stream.begun < stream.done + Exchange.window
      && stream.room.map { stream.begun < consumed + $0 } ?? true
  }

  private func begin(
    _ stream: inout Stream, _ index: Int, _ requests: UnsafeMutableRawPointer
  ) throws {
    let number = stream.begun
    let size = min(piece, stream.count - number * piece)
    let start = stream.start + piece * (stream.room.map { number % $0 } ?? number)
    let slot = index * Exchange.window + number % Exchange.window
    let sends = stream.direction == .sending
    let transfer = sends ? mpi.send : mpi.receive
    try mpi.check(
      sends ? "MPI_Isend" : "MPI_Irecv",
      transfer(
        start, Int32(size), mpi.byte, Int32(stream.peer), 0, mpi.world,
        requests + slot * mpi.requestSize), peer: stream.peer)
    if sends { bytesSent.add(size, ordering: .relaxed) }
    stream.open |= bit(number)
    stream.begun += 1
  }

  /// The slot of a piece that has arrived or left; nil when there is none at the moment.
  private func nextDone(
    _ slots: Int, _ requests: UnsafeMutableRawPointer, _ streams: [Stream]
  ) throws -> Int? {
    var (slot, found): (Int32, Int32) = (-1, 0)
    let code = mpi.testAny(Int32(slots), requests, &slot, &found, status)
    let index = slot < 0 ? nil : Int(slot) / Exchange.window
    try mpi.check("MPI_Testany", code, peer: index.map { streams[$0].peer })
    // Without any request it says "found" and an undefined, negative index.
    guard found != 0, let index else { return nil }
    if streams[index].direction == .receiving { try checkLength(streams[index], Int(slot)) }
    return Int(slot)
  }

  /// A shorter message than expected means that a rank does something else.
  private func checkLength(_ stream: Stream, _ slot: Int) throws {
    var size: Int32 = 0
    try mpi.check("MPI_Get_count", mpi.received(status, mpi.byte, &size), peer: stream.peer)
    // The open piece of this slot: the first one not done that has its place in the window.
    let first = stream.done
    let ahead = (slot % Exchange.window - first % Exchange.window + Exchange.window)
    let number = first + ahead % Exchange.window
    let expected = min(piece, stream.count - number * piece)
    guard Int(size) != expected else { return }
    throw MPILibrary.disagreement(stream.peer, expected: "\(expected) bytes", found: "\(size)")
  }

  /// Lets others have the core for a moment; ends all ranks when some have been silent for too
  /// long, or another thread asked for it.
  private func wait(_ pause: inout Pause, for streams: [Stream]) throws {
    abortIfDemanded()
    let waited = pause.take()
    guard patience > 0, waited > patience, !isPatient.load(ordering: .relaxed) else { return }
    let silent = Set(streams.filter { $0.done < pieces($0) }.map(\.peer)).sorted()
    let failure = Failure(
      .interrupted,
      "nothing was heard for \(Int(waited)) s of rank "
        + silent.map(String.init).joined(separator: ", "),
      at: "rank \(rank) of \(count)",
      advice: "If they are lost, the same command continues from the last state; if they are only "
        + "slow, wait longer: VLSI_MPI_PATIENCE=SECONDS (0 is for ever)")
    let line = Array("error: \(failure)\n".utf8)
    _ = write(2, line, line.count)
    // A launcher that ends its processes at once would lose the words.
    usleep(500_000)
    end(failure.code.rawValue)
  }

  func abortIfDemanded() {
    let code = demandedAbort.load(ordering: .acquiring)
    if code != Exchange.noAbort { end(Int32(truncatingIfNeeded: code)) }
  }

  private func end(_ code: Int32) -> Never {
    _ = mpi.abort(mpi.world, code)
    _exit(code)
  }
}

/// How long nothing has happened. MPI moves most bytes only while somebody asks, and a sleep lasts
/// some 60 µs at least: so it looks often at first, and then sleeps an eighth of what it has waited
/// so far, which delays nothing by more than that.
private struct Pause {
  private let begun = ContinuousClock.now

  /// - Returns: the seconds so far.
  func take() -> Double {
    let parts = (ContinuousClock.now - begun).components
    let waited = Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
    if waited < 100e-6 {
      sched_yield()
    } else {
      var nap = timespec(tv_sec: 0, tv_nsec: Int(min(waited / 8, 1e-3) * 1e9))
      nanosleep(&nap, nil)
    }
    return waited
  }
}
