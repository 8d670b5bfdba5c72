import Failures
import Glibc
import Ranks

// try-ranks check [FLOATS] | hash | bench [MIB] | overlap | loop RANK kill|fail|exit|sleep|short | stop
let arguments = CommandLine.arguments.dropFirst()
let what = arguments.first ?? "check"
let rest = Array(arguments.dropFirst())

func say(_ text: String) {
  let line = Array((text + "\n").utf8)
  _ = write(1, line, line.count)
}

func complain(_ failure: Failure) {
  let line = Array("error: \(failure)\n".utf8)
  _ = write(2, line, line.count)
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
  let taken = try ContinuousClock().measure(body).components
  return Double(taken.seconds) + Double(taken.attoseconds) * 1e-18
}

func fixed(_ value: Double, _ digits: Int = 2) -> String {
  let scale = pow(10.0, Double(digits))
  return "\((value * scale).rounded() / scale)"
}

func expect(_ holds: Bool, _ what: String) throws {
  if !holds { throw Failure(.software, "wrong: \(what)", at: "rank \(ranks.rank)") }
}

func floats(_ count: Int) -> UnsafeMutableBufferPointer<Float> {
  let all = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
  all.initialize(repeating: 0)
  return all
}

/// The value of a rank at a place: of widely different sizes, so that the order of a sum shows.
func value(_ rank: Int, _ place: Int) -> Float {
  var state = UInt64(place * 64 + rank + 1) &* 0x9E37_79B9_7F4A_7C15
  state = (state ^ state >> 31) &* 0xBF58_476D_1CE4_E5B9
  state ^= state >> 29
  let size =
    Float(Int32(truncatingIfNeeded: state)) * Float(sign: .plus, exponent: -31, significand: 1)
  return Float(sign: .plus, exponent: Int(state >> 60) - 8, significand: size)
}

func fill(_ values: UnsafeMutableBufferPointer<Float>, _ rank: Int) {
  for i in values.indices { values[i] = value(rank, i) }
}

/// What a sum must be, bit by bit.
func expected(_ place: Int) -> Float {
  (1..<ranks.count).reduce(value(0, place)) { $0 + value($1, place) }
}

func hash(_ values: UnsafeMutableBufferPointer<Float>) -> String {
  let all = values.reduce(14_695_981_039_346_656_037 as UInt64) {
    ($0 ^ UInt64($1.bitPattern)) &* 1_099_511_628_211
  }
  return String(all, radix: 16)
}

let ranks: Ranks
do { ranks = try Ranks.launched() } catch let failure as Failure {
  complain(failure)
  exit(failure.code.rawValue)
}
let (rank, count) = (ranks.rank, ranks.count)

/// Ranges of very different lengths, some of them empty, and a gap at the end.
func unequal(_ length: Int) -> [Range<Int>] {
  var start = 0
  return (0..<count).map { rank in
    let end = rank % 2 == 1 ? start : min(length, start + length / 3 * 2)
    defer { start = end }
    return start..<end
  }
}

func check(_ size: Int) throws {
  let values = floats(size)
  defer { values.deallocate() }
  // Sums.
  fill(values, rank)
  var before = ranks.bytesSent
  try ranks.sum(values)
  if count > 1 {
    let own = ranks.parts(of: size)[rank].count
    try expect(
      ranks.bytesSent - before == 4 * (size - own + (count - 1) * own), "bytes sent by a sum")
    try expect(
      values.indices.allSatisfy { values[$0].bitPattern == expected($0).bitPattern }, "sum")
  }
  for parts in [ranks.parts(of: size), unequal(size)] {
    fill(values, rank)
    before = ranks.bytesSent
    let pending = ranks.beginSumScattered(values, parts: parts)
    // What is called meanwhile comes after it.
    let sums = try ranks.sum([0.1 * Double(rank + 1), Double(rank)])
    let order = (0..<count).map { 0.1 * Double($0 + 1) }
    try expect(
      sums == [order.dropFirst().reduce(order[0], +), Double(count * (count - 1) / 2)], "doubles")
    try pending.wait()
    try pending.wait()
    if count > 1 {
      let others = parts.enumerated().reduce(0) { $0 + ($1.offset == rank ? 0 : $1.element.count) }
      try expect(ranks.bytesSent - before == 4 * others + 16 * (count - 1), "bytes of a part")
      try expect(
        parts[rank].allSatisfy { values[$0].bitPattern == expected($0).bitPattern }, "part of sum")
    }
    // From part to whole.
    try ranks.gather(values, parts: parts)
    if count > 1 {
      try expect(
        parts.joined().allSatisfy { values[$0].bitPattern == expected($0).bitPattern }, "gather")
    }
  }
  // Bytes, to rank 0 and back; every other rank holds its own part alone.
  let parts = unequal(size + 5)
  let mine =
    rank == 0
    ? parts
    : parts.indices.map {
      $0 < rank ? 0..<0 : $0 == rank ? 0..<parts[rank].count : parts[rank].count..<parts[rank].count
    }
  let bytes = UnsafeMutableRawBufferPointer.allocate(
    byteCount: mine.last?.upperBound ?? 0, alignment: 1)
  defer { bytes.deallocate() }
  for i in mine[rank] { bytes[i] = UInt8(truncatingIfNeeded: i &* 7 + rank) }
  try ranks.collect(bytes, parts: mine)
  if rank == 0 {
    for (peer, part) in parts.enumerated() {
      let start = peer == 0 ? 0 : part.lowerBound
      for i in part {
        try expect(bytes[i] == UInt8(truncatingIfNeeded: (i - start) &* 7 + peer), "collect")
        bytes[i] &+= 1
      }
    }
  }
  try ranks.distribute(bytes, parts: mine)
  try expect(
    mine[rank].allSatisfy {
      bytes[$0] == UInt8(truncatingIfNeeded: $0 &* 7 + rank + 1) || count == 1
    }, "distribute")
  // Flags and words.
  try expect(ranks.any(rank == count - 1) && !ranks.any(false), "any")
  for text in ["", "first", String(repeating: "x", count: 1_500_000)] {
    let got = try ranks.broadcast(rank == 0 ? Array(text.utf8) : [1, 2, 3])
    try expect(got == Array(text.utf8), "broadcast")
  }
  try ranks.barrier()
}

/// MPI's own sum, to compare with.
typealias Allreduce =
  @convention(c) (
    UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int32, UInt, UInt, UInt
  ) -> Int32
func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws {
  let isOpen = dlsym(nil, "ompi_mpi_comm_world") != nil
  func symbol(_ name: String, _ number: UInt) -> UInt {
    isOpen ? UInt(bitPattern: dlsym(nil, name)) : number
  }
  let call = unsafeBitCast(dlsym(nil, "MPI_Allreduce"), to: Allreduce.self)
  let code = call(
    UnsafeMutableRawPointer(bitPattern: isOpen ? 1 : -1), values.baseAddress, Int32(values.count),
    symbol("ompi_mpi_float", 0x4c00_040a), symbol("ompi_mpi_op_sum", 0x5800_0003),
    symbol("ompi_mpi_comm_world", 0x4400_0000))
  try expect(code == 0, "MPI_Allreduce")
}

/// The median of `rounds`, in milliseconds.
func median(_ rounds: Int, _ body: () throws -> Void) throws -> Double {
  try body()
  var taken: [Double] = []
  for _ in 0..<rounds {
    try ranks.barrier()
    taken.append(try seconds(body))
  }
  return taken.sorted()[rounds / 2] * 1e3
}

func bench() throws {
  for bytes in [1 << 10, 1 << 16, 1 << 20, 16 << 20, 64 << 20] {
    let values = floats(bytes / 4)
    defer { values.deallocate() }
    let rounds = bytes < 1 << 20 ? 100 : 15
    let library = try median(rounds) { try allreduce(values) }
    let ours = try median(rounds) { try ranks.sum(values) }
    let scattered = try median(rounds) {
      try ranks.sumScattered(values, parts: ranks.parts(of: values.count))
    }
    if rank == 0 {
      say(
        "\(count) ranks, \(bytes >> 10) KiB: sum \(fixed(ours, 3)) ms, MPI_Allreduce "
          + "\(fixed(library, 3)) ms, sumScattered \(fixed(scattered, 3)) ms")
    }
  }
  let latency = try median(200) { try ranks.barrier() }
  let doubles = try median(200) { _ = try ranks.sum([1, 2, 3]) }
  if rank == 0 { say("barrier \(fixed(latency, 3)) ms, three doubles \(fixed(doubles, 3)) ms") }
}

/// Arithmetic with and without a sum beside it.
func overlap() throws {
  let values = floats(16 << 20)
  let work = floats(1 << 12)
  let parts = ranks.parts(of: values.count)
  func compute() {
    for _ in 0..<60_000 { for i in work.indices { work[i] = (work[i] + 1).squareRoot() } }
  }
  try ranks.sum(values)
  try ranks.barrier()
  let alone = seconds { compute() }
  try ranks.barrier()
  let sums = try seconds { for _ in 0..<5 { try ranks.sumScattered(values, parts: parts) } }
  try ranks.barrier()
  var arithmetic = 0.0
  let both = try seconds {
    let pending = (0..<5).map { _ in ranks.beginSumScattered(values, parts: parts) }
    arithmetic = seconds { compute() }
    for one in pending { try one.wait() }
  }
  // A rank that waits must leave the other its core.
  try ranks.barrier()
  let before = clock()
  if rank == 0 { sleep(2) }
  try ranks.barrier()
  let used = Double(clock() - before) * 1e-6
  say(
    "rank \(rank): arithmetic \(fixed(alone)) s, five sums \(fixed(sums)) s, together \(fixed(both)) s "
      + "(arithmetic \(fixed(arithmetic)) s); CPU in 2 s of waiting \(fixed(used)) s")
}

/// Sums for ever; one rank does something else at the 20th.
func loop() throws {
  let values = floats(1 << 20)
  for step in 0... {
    if step == 20, rest.first == "\(rank)" {
      switch rest.last {
      case "kill": kill(getpid(), SIGKILL)
      case "exit": exit(75)
      case "sleep": sleep(1000)
      case "short": try ranks.sum(UnsafeMutableBufferPointer(rebasing: values[..<100]))
      default: throw Failure(.ioFailed, "this rank fails")
      }
    }
    try ranks.sum(values)
    usleep(20_000)
  }
}

do {
  switch what {
  case "check":
    for size in rest.isEmpty ? [0, 1, 5, 1001, 700_001] : rest.compactMap({ Int($0) }) {
      try check(size)
    }
    say("ok: rank \(rank) of \(count), \(ranks.library), \(ranks.bytesSent) bytes sent")
  case "hash":
    let values = floats(3_000_001)
    fill(values, rank)
    try ranks.sum(values)
    say("sum \(hash(values))")
  case "bench": try bench()
  case "overlap": try overlap()
  case "loop": try loop()
  case "stop":
    try ranks.finish()
    exit(75)
  default: throw Failure(.usage, "no such trial", found: what)
  }
  try ranks.finish()
} catch let failure as Failure {
  complain(failure)
  ranks.abort(failure.code.rawValue)
}
