import Glibc

/// Bytes of a mapped file, and what the system is told of how they will be read.
public struct MappedBytes: @unchecked Sendable {
  private let bytes: UnsafeRawBufferPointer
  private let owner: AnyObject

  /// - Parameter owner: keeps the bytes mapped
  public init(_ bytes: UnsafeRawBufferPointer, owner: AnyObject) {
    self.bytes = bytes
    self.owner = owner
  }

  public var count: Int { bytes.count }

  /// Has the system read from disk what of them is not in memory. Returns when all is asked for, which
  /// with many bytes is not long before the last of them arrive.
  public func fetch() { MappedBytes.advise(bytes, MADV_WILLNEED) }

  /// Tells the system how these mapped bytes will be read.
  public static func advise(_ bytes: UnsafeRawBufferPointer, _ advice: Int32) {
    guard let start = bytes.baseAddress else { return }
    let offset = Int(bitPattern: start) % Int(getpagesize())
    madvise(UnsafeMutableRawPointer(mutating: start - offset), bytes.count + offset, advice)
  }
}
