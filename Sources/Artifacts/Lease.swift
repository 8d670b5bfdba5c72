import Failures
import Glibc
import Synchronization

/// Keeps others from what one process works on, on file systems too that know no `flock`: a file that
/// only one can create, in which its holder counts on for as long as it lives.
///
/// A holder that died on this machine is known at once, by its process. One on another machine is
/// watched: when its count stands still for `patience` it is taken for dead. A holder that was only
/// asleep finds out before it next gives a file its name (`requireHeld`).
final class Lease: Sendable {
  /// What every lease's file is called first.
  static let prefix = ".lock"

  /// How long another machine's count may stand still: `VLSI_LOCK_PATIENCE` seconds, else 45.
  static let patience = Duration.seconds(
    getenv("VLSI_LOCK_PATIENCE").flatMap { Double(String(cString: $0)) }
      .flatMap { (1...86_400).contains($0) ? $0 : nil } ?? 45)
  /// How often a holder counts on.
  static let beat = patience / 4.5

  let path: String
  private let words: Words
  private let descriptor: Int32
  private let progress = Mutex("")

  /// Takes what is free. Nil where somebody holds it, dead or alive. Throws 73 when the folder cannot
  /// be written.
  init?(_ path: String, share: Share, identity: String) throws {
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      if errno == EEXIST { return nil }
      throw Files.uncreated(
        Files.parent(of: path), "cannot write into the folder",
        advice: "Give an output folder that you may write to")
    }
    self.path = path
    words = Words.own(share: share, identity: identity)
    write(count: 0)
    keepCounting()
  }

  deinit {
    if isHeld { unlink(path) }
    close(descriptor)
  }

  /// How far the work is, for whoever looks: JSON members, as `"done": 3, "of": 10`.
  func note(_ progress: String) { self.progress.withLock { $0 = progress } }

  private func write(count: Int) {
    let text = words.line(count: count, progress: progress.withLock { $0 })
    _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    // What is only in this machine's memory no other sees.
    fdatasync(descriptor)
  }

  /// Counts on in a thread of its own, which ends after the lease.
  private func keepCounting() {
    final class Weak: Sendable {
      let lease: Mutex<WeakLease>
      init(_ lease: Lease) { self.lease = Mutex(WeakLease(lease: lease)) }
    }
    struct WeakLease { weak var lease: Lease? }
    let held = Unmanaged.passRetained(Weak(self))
    var thread = pthread_t()
    let failed = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let weak = Unmanaged<Weak>.fromOpaque(argument).takeRetainedValue()
        var count = 0
        while true {
          Lease.sleep(Lease.beat)
          count += 1
          guard let lease = weak.lease.withLock({ $0.lease }) else { return nil }
          lease.write(count: count)
        }
      }, held.toOpaque())
    if failed != 0 { held.release() } else { pthread_detach(thread) }
  }

  static func sleep(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    var left = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    var wanted = left
    while nanosleep(&wanted, &left) != 0, errno == EINTR { wanted = left }
  }

  private var isHeld: Bool { Holder(path)?.token == words.token }

  /// Throws 73 when another process has taken this one for dead meanwhile.
  func requireHeld() throws {
    if isHeld { return }
    throw Failure(
      .cannotCreate, "another program took over what this one was writing", at: path,
      found: Holder(path)?.description ?? "the lock is gone",
      advice: "Look whether it still runs; if not, run the same command again")
  }
}

/// What a lease's file says about who made it.
private struct Words {
  let token: String
  let members: String

  static func own(share: Share, identity: String) -> Words {
    let place = Place.here
    let token = "\(place.process)-\(place.started)-\(UInt32.random(in: 0 ... .max))"
    var members: [String: JSON] = [
      "token": .string(token), "host": .string(place.host), "machine": .string(place.machine),
      "process": .int(place.process), "started": .int(place.started),
      "program": .string(CommandLine.arguments.first.map(Files.name(of:)) ?? "vlsi"),
      "share": .string(share.name), "identity": .string(identity), "since": .int(time(nil)),
    ]
    if let job = place.job {
      members["job"] = .string(job.id)
      members["restart"] = .int(job.restart)
    }
    return Words(token: token, members: String(JSON.object(members).text().dropLast()))
  }

  /// One line of always the same length, which is written over the one before.
  func line(count: Int, progress: String) -> [UInt8] {
    let text = members + ",\"count\":\(count)" + (progress.isEmpty ? "" : "," + progress) + "}"
    let padding = max(0, 1023 - text.utf8.count)
    return Array(text.utf8) + [UInt8](repeating: 32, count: padding) + [10]
  }
}

/// Where a process runs, and as which of its machine's.
private struct Place {
  var host: String
  /// Of processes whose ids can be compared: one boot, one namespace.
  var machine: String
  var process: Int
  /// When it started, in ticks since the boot: an id alone may be another's by now.
  var started: Int
  /// Slurm's, which runs no job twice at a time.
  var job: (id: String, restart: Int)?

  static let here: Place = {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, 255)
    let host = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    let boot = (try? small("/proc/sys/kernel/random/boot_id")) ?? host
    var link = stat()
    let namespace = stat("/proc/self/ns/pid", &link) == 0 ? "\(link.st_ino)" : ""
    let process = Int(getpid())
    return Place(
      host: host, machine: boot.filter { $0 != "\n" } + "/" + namespace, process: process,
      started: started(process) ?? 0,
      job: variable("SLURM_JOB_ID").map {
        ($0, variable("SLURM_RESTART_COUNT").flatMap { Int($0) } ?? 0)
      })
  }()

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }

  /// A file of /proc, whose size is not known before.
  private static func small(_ path: String) throws -> String {
    let descriptor = try Files.open(path)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  /// When a process of this machine started; nil when there is none.
  static func started(_ process: Int) -> Int? {
    // The second field, a name in parentheses, may hold blanks and parentheses.
    guard let text = try? small("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
      return nil
    }
    let fields = text[text.index(after: end)...].split(separator: " ")
    // A process that nobody has waited for yet does nothing any more.
    guard fields.count > 19, fields[0] != "Z" else { return nil }
    return Int(fields[19])
  }
}

/// Who holds a lease.
struct Holder: CustomStringConvertible {
  let share: Share
  /// Tells one holder from every other.
  let token: String
  let json: JSON

  /// Nil where there is no such file, or one that says nothing (yet).
  init?(_ path: String) {
    guard let bytes = try? Files.read(path, limit: 1 << 16),
      let json = try? JSON(parsing: bytes, place: path), let token = json["token"]?.asString,
      let share = json["share"]?.asString.flatMap({ Share(name: $0) })
    else { return nil }
    self.share = share
    self.token = token
    self.json = json
  }

  var description: String {
    let program = json["program"]?.asString ?? "a program"
    let process = json["process"]?.asInt ?? 0
    let part = share == .all ? "" : ", share \(share.name)"
    return "\(program) on \(json["host"]?.asString ?? "?"), process \(process)\(part)"
  }

  /// Whether it lives; nil where only its counting can tell.
  var lives: Bool? {
    let here = Place.here
    if let job = here.job, json["job"]?.asString == job.id,
      let restart = json["restart"]?.asInt, restart < job.restart
    {
      return false
    }
    guard json["machine"]?.asString == here.machine, let process = json["process"]?.asInt,
      let started = json["started"]?.asInt
    else { return nil }
    return Place.started(process) == started
  }

  /// Those of the leases whose holders live, looked at until that is clear. A file that says nothing is
  /// watched for seconds: its maker was about to write it.
  static func living(_ paths: [String], patience: Duration) -> [String] {
    let clock = ContinuousClock()
    let begun = clock.now
    var seen: [String: String] = [:]
    var living: [String] = []
    var open = paths
    while true {
      open = open.filter { path in
        guard Files.exists(path) else { return false }
        let holder = Holder(path)
        let now = holder.map { "\($0.token) \($0.json["count"]?.asInt ?? 0)" } ?? ""
        let before = seen.updateValue(now, forKey: path)
        if let lives = holder?.lives ?? (before.map { $0 != now } == true ? true : nil) {
          if lives { living.append(path) }
          return false
        }
        return begun.duration(to: clock.now)
          < (holder == nil ? min(patience, .seconds(5)) : patience)
      }
      if open.isEmpty { return living }
      Lease.sleep(min(.seconds(1), patience / 4))
    }
  }
}
