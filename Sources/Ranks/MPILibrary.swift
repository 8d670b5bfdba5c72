import Failures
import Glibc

/// A library of either family, opened at run time: no header, no link, no build option.
struct MPILibrary: Sendable {
  /// Pointers in Open MPI, 32-bit numbers in MPICH. Both travel in one integer register, of which
  /// MPICH reads the lower half.
  typealias Handle = UInt
  typealias Memory = UnsafeMutableRawPointer
  typealias Number = UnsafeMutablePointer<Int32>
  typealias Text = UnsafeMutablePointer<CChar>

  let family: Family
  let world: Handle, byte: Handle, errorsReturn: Handle, noRequest: Handle
  /// The class of the error that a message is longer than expected.
  let truncated: Int32
  let initThread: @convention(c) @Sendable (Memory?, Memory?, Int32, Number) -> Int32
  let setErrorHandler: @convention(c) @Sendable (Handle, Handle) -> Int32
  let finalize: @convention(c) @Sendable () -> Int32
  let abort: @convention(c) @Sendable (Handle, Int32) -> Int32
  let rank: @convention(c) @Sendable (Handle, Number) -> Int32
  let size: @convention(c) @Sendable (Handle, Number) -> Int32
  let version: @convention(c) @Sendable (Text, Number) -> Int32
  /// Code, class.
  let errorClass: @convention(c) @Sendable (Int32, Number) -> Int32
  let errorText: @convention(c) @Sendable (Int32, Text, Number) -> Int32
  /// Bytes, their count, type, peer, tag, communicator, request.
  typealias Transfer =
    @convention(c) @Sendable (Memory, Int32, Handle, Int32, Int32, Handle, Memory) -> Int32
  let send: Transfer, receive: Transfer
  /// Count, requests, index of the one that is done, whether one is, status.
  let testAny: @convention(c) @Sendable (Int32, Memory, Number, Number, Memory) -> Int32
  /// Status, type, count.
  let received: @convention(c) @Sendable (Memory, Handle, Number) -> Int32

  /// Bytes of a request in an array of them.
  var requestSize: Int { family == .openMPI ? 8 : 4 }
  /// Enough for a status of either family, 24 or 20 bytes.
  static let statusSize = 64

  /// Opens the launcher's library, or the one that `VLSI_MPI` names, of whichever family that is.
  /// - Throws: 64 where there is none.
  init(_ launched: Family, named: String?) throws {
    var opened: Memory?
    var reasons: [String] = []
    for file in named.map({ [$0] }) ?? launched.files where opened == nil {
      // Global: Open MPI's plugins look for its symbols.
      opened = dlopen(file, RTLD_NOW | RTLD_GLOBAL)
      if opened == nil, let reason = dlerror() { reasons.append(String(cString: reason)) }
    }
    guard let library = opened else {
      throw Failure(
        .usage,
        named.map { "the MPI library that VLSI_MPI names, \($0), cannot be opened" }
          ?? "\(launched.name) launched this program, and its library cannot be opened",
        found: reasons.joined(separator: "; "),
        advice: "Install \(launched.name)'s library, or name it: "
          + "VLSI_MPI=/path/to/\(launched.files[0])")
    }
    func find(_ name: String) throws -> Memory {
      guard let found = dlsym(library, name) else {
        throw Failure(
          .usage, "the library \(named ?? launched.files[0]) has no \(name)",
          advice: "VLSI_MPI has to name a library of Open MPI or MPICH")
      }
      return found
    }
    func function<F>(_ name: String) throws -> F { unsafeBitCast(try find(name), to: F.self) }
    family = dlsym(library, "ompi_mpi_comm_world") == nil ? .mpich : .openMPI
    switch family {
    case .openMPI:
      world = UInt(bitPattern: try find("ompi_mpi_comm_world"))
      byte = UInt(bitPattern: try find("ompi_mpi_byte"))
      errorsReturn = UInt(bitPattern: try find("ompi_mpi_errors_return"))
      noRequest = UInt(bitPattern: try find("ompi_request_null"))
      truncated = 15
    case .mpich:
      (world, byte) = (0x4400_0000, 0x4c00_010d)
      (errorsReturn, noRequest) = (0x5400_0001, 0x2c00_0000)
      truncated = 14
    }
    initThread = try function("MPI_Init_thread")
    setErrorHandler = try function("MPI_Comm_set_errhandler")
    finalize = try function("MPI_Finalize")
    abort = try function("MPI_Abort")
    rank = try function("MPI_Comm_rank")
    size = try function("MPI_Comm_size")
    version = try function("MPI_Get_library_version")
    errorClass = try function("MPI_Error_class")
    errorText = try function("MPI_Error_string")
    send = try function("MPI_Isend")
    receive = try function("MPI_Irecv")
    testAny = try function("MPI_Testany")
    received = try function("MPI_Get_count")
  }

  /// Runs `MPI_Init_thread` on the calling thread, which makes all further calls. From here on an
  /// error is a code, no end of the process.
  func begin() throws {
    var level: Int32 = 0
    let funneled: Int32 = 1
    try check("MPI_Init_thread", initThread(nil, nil, funneled, &level))
    try check("MPI_Comm_set_errhandler", setErrorHandler(world, errorsReturn))
  }

  /// This process's rank, and how many there are.
  func place() throws -> (rank: Int, count: Int) {
    var (rank, count): (Int32, Int32) = (0, 0)
    try check("MPI_Comm_rank", self.rank(world, &rank))
    try check("MPI_Comm_size", size(world, &count))
    return (Int(rank), Int(count))
  }

  /// The library's own name, such as "Open MPI v4.1.4".
  func title() -> String {
    let text = MPILibrary.text { version($0, $1) }
    return String(text.prefix { $0 != "\n" && $0 != "," }).replacing(" Version:\t", with: " ")
  }

  /// - Parameter peer: whom the call was about.
  /// - Throws: 75 where `code` is not success, 70 where a message is longer than expected.
  func check(_ call: String, _ code: Int32, peer: Int? = nil) throws {
    guard code != 0 else { return }
    var kind: Int32 = 0
    _ = errorClass(code, &kind)
    let lines = MPILibrary.text { errorText(code, $0, $1) }
    // Of MPICH's lines the last says the most.
    let text = lines.split(separator: "\n").last.map(String.init) ?? lines
    if kind == truncated { throw MPILibrary.disagreement(peer, found: text) }
    throw Failure(
      .interrupted, peer.map { "the exchange with rank \($0) failed" } ?? "MPI failed", at: call,
      found: text,
      advice: "If a rank or its machine is lost, the same command continues from the last state")
  }

  /// A message of another length than expected: the ranks do different things.
  static func disagreement(_ peer: Int?, expected: String? = nil, found: String) -> Failure {
    Failure(
      .software, "the ranks do not exchange the same", at: peer.map { "rank \($0)" },
      expected: expected, found: found)
  }

  /// A text that a call writes with its length; MPI's longest have 8192 bytes.
  private static func text(_ call: (Text, Number) -> Int32) -> String {
    var length: Int32 = 0
    let bytes = [CChar](unsafeUninitializedCapacity: 1 << 14) { space, count in
      space.initialize(repeating: 0)
      if let start = space.baseAddress { _ = call(start, &length) }
      count = max(0, min(Int(length), space.count))
    }
    return String(
      decoding: bytes.lazy.map { UInt8(bitPattern: $0) }.prefix { $0 != 0 }, as: UTF8.self)
  }
}
