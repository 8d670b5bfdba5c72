import CXXHash
import Failures
import Glibc

/// XXH3-128 digests as 32 hexadecimal digits, equal to Python's `xxhash.xxh3_128_hexdigest`.
/// They find damage and difference; they are no defence against an adversary.
public enum Fingerprint {
  public static func bytes(_ bytes: UnsafeRawBufferPointer) -> String {
    hex(XXH3_128bits(bytes.baseAddress, bytes.count))
  }

  public static func bytes(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { self.bytes($0) } }

  public static func text(_ text: String) -> String { bytes(Array(text.utf8)) }

  /// One digest over named digests; the order of the names does not matter.
  public static func combine(_ parts: [String: String]) -> String {
    text(parts.sorted { $0.key < $1.key }.map { "\($0.key)\0\($0.value)\n" }.joined())
  }

  /// The digest of a whole file. Throws 66 or 74.
  public static func file(_ path: String) throws -> String {
    let descriptor = try Files.open(path)
    defer { close(descriptor) }
    var state = Digest()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let got = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw Failure(.ioFailed, "reading failed: \(Files.reason)", at: path) }
      if got == 0 { return state.value }
      buffer.withUnsafeBytes { state.update(UnsafeRawBufferPointer(rebasing: $0[..<got])) }
    }
  }

  static func hex(_ hash: XXH128_hash_t) -> String {
    func word(_ value: UInt64) -> String {
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    return word(hash.high64) + word(hash.low64)
  }
}

/// An XXH3-128 digest that grows.
public struct Digest {
  private final class State {
    let pointer = XXH3_createState()
    init() { XXH3_128bits_reset(pointer) }
    deinit { XXH3_freeState(pointer) }
  }

  private let state = State()

  public init() {}

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    XXH3_128bits_update(state.pointer, bytes.baseAddress, bytes.count)
  }

  public mutating func update(_ text: String) {
    Array(text.utf8).withUnsafeBytes { update($0) }
  }

  /// The digest of everything so far.
  public var value: String { Fingerprint.hex(XXH3_128bits_digest(state.pointer)) }
}
