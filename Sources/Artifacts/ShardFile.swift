import Failures
import Glibc

/// One shard looked at by itself, as when its artifact is unfinished.
public struct ShardFile: Sendable {
  public let path: String
  /// The sample indices of its records, ascending.
  public let indices: [Int]
  private let places: [Int: (offset: Int, count: Int)]

  /// Throws 66 when it cannot be opened, 65 when it is damaged or no shard.
  public init(path: String) throws {
    self.path = path
    var places: [Int: (offset: Int, count: Int)] = [:]
    for entry in try LMDBReader.entries(of: path) {
      let index = entry.key.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard entry.key.count == 8, let index = Int(exactly: index) else {
        throw Failure(.badData, "a key that is no sample index", at: path)
      }
      places[index] = (entry.offset, entry.count)
    }
    self.places = places
    indices = places.keys.sorted()
  }

  /// The stored bytes of a record.
  public func storedBytes(_ index: Int) -> Int { places[index]?.count ?? 0 }

  /// The record of sample `index`. Throws 65 when there is none or it is damaged.
  public func record(_ index: Int) throws -> Record {
    guard let place = places[index] else {
      throw Failure(
        .badData, "no record of sample \(index)", at: path,
        expected: indices.first.map { "\($0) to \(indices.last ?? $0)" } ?? "no record at all")
    }
    let descriptor = try Files.open(path)
    defer { close(descriptor) }
    let packed = try Files.read(
      descriptor, offset: place.offset, count: place.count, path: path)
    return try packed.withUnsafeBytes {
      try Record(index: index, encoded: $0, place: "\(path), record \(index)")
    }
  }
}
