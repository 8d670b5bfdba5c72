import Failures
import Glibc

/// A file that appears under its name only once complete: written as `NAME.TAG.partial`, synced,
/// renamed. Dropped without `commit()`, it leaves nothing behind. The tag is the process's: two that
/// write the same file do not disturb each other.
public final class OutputFile {
  public let path: String
  private let temporary: String
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  /// Bytes written so far.
  public private(set) var count = 0
  /// A digest that grows with what is written, overwriting aside; nil for none.
  public var digest: Digest?

  static let suffix = ".partial"

  /// What a file is called while this process writes it.
  static func temporary(_ path: String) -> String { "\(path).\(ProcessTag.own)\(suffix)" }

  /// Removes what killed processes left half-written in a folder. Throws 73.
  static func removeLeftovers(in directory: String) throws {
    for name in (try? Files.list(directory)) ?? [] where name.hasSuffix(suffix) {
      try Files.remove(Files.join(directory, name))
    }
  }
  private static let bufferSize = 1 << 20

  /// Throws 73 when the file cannot be created.
  public init(_ path: String) throws {
    self.path = path
    temporary = OutputFile.temporary(path)
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw Files.uncreated(
        path, "cannot create the file", advice: "Give an output that you may write to")
    }
    buffer.reserveCapacity(OutputFile.bufferSize)
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporary)
  }

  /// Appends. Throws 74, a full disk included.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    count += bytes.count
    digest?.update(bytes)
    if buffer.count + bytes.count > OutputFile.bufferSize { try flush() }
    if bytes.count < OutputFile.bufferSize {
      buffer.append(contentsOf: bytes)
    } else {
      try put(bytes, at: nil)
    }
  }

  public func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

  /// Overwrites what was written at `offset`.
  public func overwrite(_ bytes: [UInt8], at offset: Int) throws {
    try flush()
    try bytes.withUnsafeBytes { try put($0, at: offset) }
  }

  private func flush() throws {
    if buffer.isEmpty { return }
    try buffer.withUnsafeBytes { try put($0, at: nil) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int?) throws {
    var done = 0
    while done < bytes.count {
      let start = bytes.baseAddress?.advanced(by: done)
      let left = bytes.count - done
      let wrote =
        offset.map { pwrite(descriptor, start, left, off_t($0 + done)) }
        ?? Glibc.write(descriptor, start, left)
      if wrote < 0, errno == EINTR { continue }
      guard wrote > 0 else { throw failed("writing") }
      done += wrote
    }
  }

  private func failed(_ doing: String) -> Failure {
    Failure(
      .ioFailed, "\(doing) failed: \(Files.reason)", at: path,
      advice: Files.adviceOnRoom(errno))
  }

  /// Makes the file last and gives it its name. Throws 74, and what `beforeNaming` throws, which is
  /// called between the two.
  public func commit(_ beforeNaming: () throws -> Void = {}) throws {
    try flush()
    guard fsync(descriptor) == 0 else { throw failed("syncing") }
    guard close(descriptor) == 0 else { throw failed("closing") }
    descriptor = -1
    do {
      try beforeNaming()
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else {
      let failure = failed("renaming")
      unlink(temporary)
      throw failure
    }
    Files.synchronize(Files.parent(of: path))
  }
}

/// A word that no other process on any machine has now.
enum ProcessTag {
  static let own: String = {
    let digits = String(UInt32.random(in: 0 ... .max), radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }()
}

/// Writes a file that is never seen half-written: temporary name, sync, rename. Throws 73 when it
/// cannot be created, 74 when writing fails.
public func writeAtomically(_ bytes: [UInt8], to path: String) throws {
  let file = try OutputFile(path)
  try file.write(bytes)
  try file.commit()
}

/// The same for text.
public func writeAtomically(_ text: String, to path: String) throws {
  try writeAtomically(Array(text.utf8), to: path)
}
