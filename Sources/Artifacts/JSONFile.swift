import Failures

extension JSON {
  /// A file's JSON. Throws 66 when it cannot be opened, 65 when it is larger than `limit` bytes or
  /// no JSON, saying what it is instead where its first bytes tell.
  public init(file path: String, limit: Int = 1 << 34) throws {
    let bytes = try Files.read(path, limit: limit)
    do {
      try self.init(parsing: bytes, place: path)
    } catch let failure as Failure {
      throw failure.naming(bytes.prefix(FileKind.prefixLength))
    }
  }
}

extension Files {
  /// A file's first bytes, as many as tell what it is. Throws 66 or 74.
  public static func prefix(_ path: String) throws -> [UInt8] {
    guard isFile(path) else { throw Failure(.inputMissing, "is not a file", at: path) }
    let descriptor = try open(path)
    defer { closeDescriptor(descriptor) }
    return try read(
      descriptor, offset: 0, count: min(size(path) ?? 0, FileKind.prefixLength), path: path)
  }
}
