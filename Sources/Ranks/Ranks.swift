import Failures
import Glibc
import Synchronization

/// The processes of one training stage, started together by `mpirun`, `mpiexec` or `srun`.
///
/// MPI is opened at run time, only by one of several processes that a launcher started: else there
/// is one rank, nothing is opened and every operation is empty.
///
/// All ranks call the same operations in the same order, with the same parts. An operation that
/// throws leaves the others waiting: only `abort` may follow. It throws 75 where another rank is
/// lost, 70 where the ranks do not do the same. Who hears nothing of another rank for
/// `VLSI_MPI_PATIENCE` seconds (600 unless set, 0 for ever) says of which, and ends all with 75.
public final class Ranks: Sendable {
  /// One rank, with nobody to talk to.
  public static let alone = Ranks(nil, library: "none")

  /// This process, from 0, and how many there are.
  public let rank: Int
  public let count: Int
  /// The library's own name and version.
  public let library: String

  private struct Group {
    let exchange: Exchange
    let thread: CommunicationThread
  }
  private let group: Group?

  private init(_ group: Group?, library: String) {
    (self.group, self.library) = (group, library)
    (rank, count) = group.map { ($0.exchange.rank, $0.exchange.count) } ?? (0, 1)
  }

  /// The ranks of this process's launcher; `alone` where there is none or it started one process.
  /// Called once in a process. `VLSI_MPI` names another library than the launcher's usual one.
  /// - Throws: 64 where several processes were started that cannot reach each other: by an srun
  ///   without MPI, without a library, or with one of the other family.
  public static func launched() throws -> Ranks {
    let variable = { (name: String) in getenv(name).map { String(cString: $0) } }
    guard let launcher = try Launcher.find(variable) else { return alone }
    let patience = try patience(variable("VLSI_MPI_PATIENCE"))
    let mpi = try MPILibrary(launcher.family, named: variable("VLSI_MPI"))
    let thread = try CommunicationThread()
    let library = mpi.title()
    let place = Mutex<(rank: Int, count: Int)>((0, 1))
    try thread.begin {
      try mpi.begin()
      let found = try mpi.place()
      place.withLock { $0 = found }
      if found.count == 1 { try mpi.check("MPI_Finalize", mpi.finalize()) }
      try launcher.check(size: found.count, library: library)
    }.wait()
    let (rank, count) = place.withLock { $0 }
    guard count > 1 else { return alone }
    let exchange = Exchange(mpi, rank: rank, count: count, patience: patience)
    return Ranks(Group(exchange: exchange, thread: thread), library: library)
  }

  /// For a program that does its work alone.
  /// - Throws: 64 where a launcher started it as one of several: each would do all of it.
  public static func requireAlone() throws {
    guard let launcher = try Launcher.find({ name in getenv(name).map { String(cString: $0) } })
    else { return }
    throw Failure(
      .usage, "this program is one process, and a launcher started several",
      expected: "1", found: launcher.count.map { "\($0)" } ?? "several",
      advice: "Start it once, or give each process its --share i/n where it takes one")
  }

  /// - Throws: 64 for what is no number of seconds.
  static func patience(_ text: String?) throws -> Double {
    guard let text else { return 600 }
    guard let seconds = Double(text), seconds >= 0, seconds.isFinite else {
      throw Failure(.usage, "VLSI_MPI_PATIENCE is wrong", expected: "seconds", found: text)
    }
    return seconds
  }

  // MARK: Parts

  /// Ranges of nearly equal length, one for each rank, that cover `0..<length`.
  public func parts(of length: Int) -> [Range<Int>] { Ranks.parts(of: length, among: count) }

  static func parts(of length: Int, among count: Int) -> [Range<Int>] {
    let (each, more) = length.quotientAndRemainder(dividingBy: count)
    return (0..<count).map { rank in
      let start = rank * each + min(rank, more)
      return start..<start + each + (rank < more ? 1 : 0)
    }
  }

  /// Whether these are ranges for `count` ranks within `0..<length`, one behind the other.
  static func areParts(_ parts: [Range<Int>], of length: Int, among count: Int) -> Bool {
    var end = 0
    for part in parts {
      guard part.lowerBound >= end else { return false }
      end = part.upperBound
    }
    return parts.count == count && end <= length
  }

  // MARK: Sums

  /// Every rank's values become the sum of all, ((r0 + r1) + r2) + …: the same bytes on all ranks,
  /// with every library and transport. Sends 2 (ranks - 1) / ranks of the bytes.
  public func sum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    nonisolated(unsafe) let values = values
    let parts = parts(of: values.count)
    let places = bytes(parts)
    try perform { exchange in
      try exchange.sumScattered(values, parts: parts)
      try exchange.gather(UnsafeMutableRawBufferPointer(values), parts: places)
    }
  }

  /// The values in this rank's part become the sum of all ranks', in the order of `sum`; the other
  /// values are undefined. Sends all but the own part.
  /// - Parameter parts: a range for each rank, one behind the other; may be empty
  public func sumScattered(
    _ values: UnsafeMutableBufferPointer<Float>, parts: [Range<Int>]
  ) throws {
    try beginSumScattered(values, parts: parts).wait()
  }

  /// Begins `sumScattered` and returns. Until `Pending.wait` has returned the values must stay where
  /// they are, unread and unwritten; operations called meanwhile come after it.
  public func beginSumScattered(
    _ values: UnsafeMutableBufferPointer<Float>, parts: [Range<Int>]
  ) -> Pending {
    precondition(Ranks.areParts(parts, of: values.count, among: count))
    nonisolated(unsafe) let values = values
    return begin { try $0.sumScattered(values, parts: parts) }
  }

  /// The sum of all ranks' numbers, of which there are equally many, in the order of `sum`.
  public func sum(_ numbers: [Double]) throws -> [Double] {
    guard count > 1, !numbers.isEmpty else { return numbers }
    var all = [Double](repeating: 0, count: count * numbers.count)
    all.replaceSubrange(rank * numbers.count..<(rank + 1) * numbers.count, with: numbers)
    try all.withUnsafeMutableBytes { try gather($0, parts: parts(of: $0.count)) }
    return numbers.indices.map { i in
      (1..<count).reduce(all[i]) { $0 + all[$1 * numbers.count + i] }
    }
  }

  /// Whether the flag is set on any rank.
  public func any(_ flag: Bool) throws -> Bool { try sum([flag ? 1 : 0])[0] > 0 }

  /// Returns when all ranks have called it.
  public func barrier() throws { _ = try any(false) }

  /// As `barrier`, however long one of them is at something that the others wait for, as a state that
  /// it writes.
  public func meet() throws {
    guard let group else { return }
    group.exchange.isPatient.store(true, ordering: .relaxed)
    try barrier()
    group.exchange.isPatient.store(false, ordering: .relaxed)
  }

  // MARK: Bytes

  /// Every rank's part comes to all, in place. Sends the own part to each of the others.
  public func gather(_ values: UnsafeMutableBufferPointer<Float>, parts: [Range<Int>]) throws {
    try gather(UnsafeMutableRawBufferPointer(values), parts: bytes(parts))
  }

  /// Every rank's part comes to all, in place; the parts count bytes.
  public func gather(_ bytes: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) throws {
    try perform(bytes, parts) { try $0.gather($1, parts: parts) }
  }

  /// Every rank's part comes to rank 0, in place; the parts count bytes. The lengths of the parts
  /// are the same on all ranks; where its own lies, each rank says for itself.
  public func collect(_ bytes: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) throws {
    try perform(bytes, parts) { try $0.collect($1, parts: parts) }
  }

  /// Every rank's part comes from rank 0, in place: the way back of `collect`.
  public func distribute(_ bytes: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) throws {
    try perform(bytes, parts) { try $0.distribute($1, parts: parts) }
  }

  /// Rank 0's bytes, of any length; what the others give is not looked at.
  public func broadcast(_ bytes: [UInt8]) throws -> [UInt8] {
    var length = [bytes.count]
    try length.withUnsafeMutableBytes { try broadcast($0) }
    var bytes = rank == 0 ? bytes : [UInt8](repeating: 0, count: length[0])
    try bytes.withUnsafeMutableBytes { try broadcast($0) }
    return bytes
  }

  private func broadcast(_ bytes: UnsafeMutableRawBufferPointer) throws {
    nonisolated(unsafe) let bytes = bytes
    try perform { try $0.broadcast(bytes) }
  }

  private func bytes(_ parts: [Range<Int>]) -> [Range<Int>] {
    let size = MemoryLayout<Float>.stride
    return parts.map { $0.lowerBound * size..<$0.upperBound * size }
  }

  /// Bytes that this rank has sent, without what MPI adds.
  public var bytesSent: Int { group?.exchange.bytesSent.load(ordering: .relaxed) ?? 0 }

  // MARK: The end

  /// Waits for all ranks and ends MPI, once, before the process exits by itself, whatever its code:
  /// a launcher takes an exit without it for a failure.
  public func finish() throws {
    guard count > 1 else { return }
    try meet()
    // MPICH over UCX and TCP may wait for a rank that is through already. After the barrier nothing
    // is on its way any more: such a wait is given up.
    _ = try begin { try $0.mpi.check("MPI_Finalize", $0.mpi.finalize()) }.wait(seconds: 5)
  }

  /// Ends all ranks, as one that fails must: the others would wait for it. The launcher's exit code
  /// is `code`, or that of a rank which fails at the same time.
  public func abort(_ code: Int32) -> Never {
    fflush(nil)
    // A launcher that ends its processes at once would lose the last words.
    usleep(500_000)
    guard let group else { exit(code) }
    group.exchange.demandedAbort.store(Int(code), ordering: .releasing)
    group.thread.give { group.exchange.abortIfDemanded() }
    // The communication thread ends the process, unless it is stuck inside MPI.
    sleep(10)
    _exit(code)
  }

  // MARK: The thread

  private func perform(
    _ bytes: UnsafeMutableRawBufferPointer, _ parts: [Range<Int>],
    _ job: @escaping @Sendable (Exchange, UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    precondition(Ranks.areParts(parts, of: bytes.count, among: count))
    nonisolated(unsafe) let bytes = bytes
    try perform { try job($0, bytes) }
  }

  private func perform(_ job: @escaping @Sendable (Exchange) throws -> Void) throws {
    try begin(job).wait()
  }

  private func begin(_ job: @escaping @Sendable (Exchange) throws -> Void) -> Pending {
    guard let group else { return .done }
    return group.thread.begin { try job(group.exchange) }
  }
}
