import Kernels

/// Bytes in memory that is used again for the next ones: fresh pages for every record cost more than
/// a copy of it.
struct Block: @unchecked Sendable {
  private let room: Buffer
  /// How many of them count.
  private(set) var count: Int

  /// - Parameter fill: writes into `capacity` bytes and returns how many it wrote.
  init(
    capacity: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws -> Int
  ) rethrows {
    room = Buffer(count: (capacity + 3) / 4)
    count = 0
    count = try fill(UnsafeMutableRawBufferPointer(start: room.pointer, count: capacity))
  }

  init(_ bytes: [UInt8]) {
    self.init(capacity: bytes.count) {
      $0.copyBytes(from: bytes)
      return bytes.count
    }
  }

  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    defer { withExtendedLifetime(room) {} }
    return try body(UnsafeRawBufferPointer(start: room.pointer, count: count))
  }

  var array: [UInt8] { withBytes { Array($0) } }
}
