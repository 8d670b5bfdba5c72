import Failures
import Glibc
import Kernels

/// Reading and listing files, with errors that name the path and the reason.
public enum Files {
  // Paths are bytes: to `Character` a slash with a combining mark behind it is none.
  private static let slash = UInt8(ascii: "/")

  static var reason: String { String(cString: strerror(errno)) }

  /// `directory/name`.
  public static func join(_ directory: String, _ name: String) -> String {
    if directory.isEmpty { return name }
    return directory.utf8.last == slash ? directory + name : directory + "/" + name
  }

  /// The last component of a path.
  public static func name(of path: String) -> String {
    path.utf8.split(separator: slash).last.flatMap { String($0) } ?? path
  }

  /// A path without slashes behind it.
  public static func trimmed(_ path: String) -> String {
    let end = path.utf8.lastIndex { $0 != slash }.map { path.utf8.index(after: $0) }
    return end.map { String(path[..<$0]) } ?? String(path.prefix(1))
  }

  /// The folder that a path lies in.
  public static func parent(of path: String) -> String {
    guard let end = path.utf8.lastIndex(of: slash) else { return "." }
    return end == path.startIndex ? "/" : String(path[..<end])
  }

  static func status(_ path: String) -> stat? {
    var info = stat()
    return stat(path, &info) == 0 ? info : nil
  }

  public static func exists(_ path: String) -> Bool { status(path) != nil }

  public static func isDirectory(_ path: String) -> Bool {
    status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
  }

  /// Whether there is an ordinary file, whose bytes can be read again and again.
  public static func isFile(_ path: String) -> Bool {
    status(path).map { $0.st_mode & S_IFMT == S_IFREG } ?? false
  }

  /// The bytes of a file, nil if there is none.
  public static func size(_ path: String) -> Int? { status(path).map { Int($0.st_size) } }

  /// Size and time of the last change, to notice that a file is another one now.
  public static func stamp(_ path: String) -> String? {
    status(path).map { "\($0.st_size)-\($0.st_mtim.tv_sec).\($0.st_mtim.tv_nsec)" }
  }

  /// Opens for reading. Throws 66 when it cannot.
  static func open(_ path: String) throws -> Int32 {
    // A pipe would otherwise keep us waiting for its writer.
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Failure(.inputMissing, "cannot read: \(reason)", at: path) }
    return descriptor
  }

  static func closeDescriptor(_ descriptor: Int32) { close(descriptor) }

  /// The whole file. Throws 66 when it cannot be opened, 65 when larger than `limit` bytes, 74
  /// when reading fails midway.
  public static func read(_ path: String, limit: Int = 1 << 34) throws -> [UInt8] {
    let descriptor = try open(path)
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      let kind = info.st_mode & S_IFMT == S_IFDIR ? "folder" : "pipe or device"
      throw Failure(.inputMissing, "is a \(kind), not a file", at: path)
    }
    let size = Int(info.st_size)
    guard size <= limit else {
      throw Failure(
        .badData, "the file is too large", at: path, expected: "at most \(limit) bytes",
        found: "\(size)")
    }
    return try read(descriptor, offset: 0, count: size, path: path)
  }

  /// `count` bytes of a file from `offset`. Throws 66 when it cannot be opened, 65 when it ends
  /// before, 74 when reading fails.
  public static func read(_ path: String, offset: Int, count: Int) throws -> [UInt8] {
    let descriptor = try open(path)
    defer { close(descriptor) }
    return try read(descriptor, offset: offset, count: count, path: path)
  }

  /// `count` bytes from `offset`. Throws 65 when the file ends before, 74 when reading fails.
  static func read(_ descriptor: Int32, offset: Int, count: Int, path: String) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let got = pread(
          descriptor, buffer.baseAddress?.advanced(by: filled), count - filled,
          off_t(offset + filled))
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { throw Failure(.ioFailed, "reading failed: \(reason)", at: path) }
        guard got > 0 else {
          throw Failure(
            .badData, "the file ends too early", at: path,
            expected: "\(count) bytes from byte \(offset)", found: "\(filled)")
        }
        filled += got
      }
    }
  }

  /// The names in a folder, sorted, without `.` and `..`. Throws 66.
  public static func list(_ directory: String) throws -> [String] {
    guard let handle = opendir(directory) else {
      throw Failure(.inputMissing, "cannot read the folder: \(reason)", at: directory)
    }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// A file or folder that cannot be made, 73, unless it is the room that is missing, 74.
  /// - Parameter code: of the system, or of `reason`'s library.
  static func uncreated(
    _ path: String, _ what: String, code: Int32 = errno, reason: String? = nil, advice: String
  ) -> Failure {
    let reason = reason ?? String(cString: strerror(code))
    if let room = adviceOnRoom(code) {
      return Failure(.ioFailed, "\(what): \(reason)", at: path, advice: room)
    }
    return Failure(.cannotCreate, "\(what): \(reason)", at: path, advice: advice)
  }

  /// What helps when there is no room for a write; nil for other errors.
  static func adviceOnRoom(_ code: Int32) -> String? {
    switch code {
    case EFBIG: "Raise `ulimit -f` and run the same command again"
    case EDQUOT: "Free some of your quota and run the same command again"
    case ENOSPC:
      // liblmdb calls a short write a full disk.
      ResourceLimit.fileSize != nil
        ? "Raise `ulimit -f`, or free some disk space, and run the same command again"
        : "Free some disk space and run the same command again"
    default: nil
    }
  }

  /// Makes a folder and those above it. Throws 73, 74 on a full disk.
  public static func makeDirectory(_ path: String) throws {
    if isDirectory(path) { return }
    let above = parent(of: path)
    if above != path, !isDirectory(above) { try makeDirectory(above) }
    guard mkdir(path, 0o777) == 0 || (errno == EEXIST && isDirectory(path)) else {
      throw uncreated(
        path, "cannot create the folder", advice: "Give an output folder that you may write to")
    }
  }

  /// Removes a file if it is there. Throws 73.
  public static func remove(_ path: String) throws {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw Failure(.cannotCreate, "cannot remove: \(reason)", at: path)
    }
  }

  /// Removes a folder with what it holds, if it is there. Throws 73.
  public static func removeTree(_ path: String) throws {
    var info = stat()
    guard lstat(path, &info) == 0 else { return }
    guard info.st_mode & S_IFMT == S_IFDIR else { return try remove(path) }
    for name in try list(path) { try removeTree(join(path, name)) }
    guard rmdir(path) == 0 else {
      throw Failure(.cannotCreate, "cannot remove the folder: \(reason)", at: path)
    }
  }

  /// Removes a folder that was just made and is still empty but for its lock.
  static func removeUntouched(_ directory: String) {
    guard let names = try? list(directory), names.allSatisfy({ $0.hasPrefix(Lease.prefix) }) else {
      return
    }
    try? removeTree(directory)
  }

  /// Gives a file or folder another name on the same file system. Throws 73, 74 on a full disk.
  public static func move(_ path: String, to other: String) throws {
    guard rename(path, other) == 0 else {
      throw uncreated(
        path, "cannot move to \(other)", advice: "Check the rights of both folders")
    }
  }

  /// Makes renames and removals in a folder outlive a power failure.
  static func synchronize(_ directory: String) {
    let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    // Some network file systems refuse to sync a folder; the rename itself is still atomic.
    fsync(descriptor)
    close(descriptor)
  }

  /// Whether two paths lead to the same file or folder, which is there.
  public static func isSame(_ a: String, _ b: String) -> Bool {
    guard let a = status(a), let b = status(b) else { return false }
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino
  }

  /// Bytes that may still be written where `path` is or is to be made; nil when the system does
  /// not tell.
  public static func freeBytes(at path: String) -> Int? {
    var place = path
    while !exists(place), parent(of: place) != place { place = parent(of: place) }
    var info = statvfs()
    guard statvfs(place, &info) == 0 else { return nil }
    let (bytes, overflow) = Int(clamping: info.f_bavail)
      .multipliedReportingOverflow(by: Int(clamping: info.f_frsize))
    return overflow ? .max : bytes
  }

  /// Sets a file's time of change to now.
  static func touch(_ path: String) { utimensat(AT_FDCWD, path, nil, 0) }
}
