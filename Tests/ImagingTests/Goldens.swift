import Foundation
import Testing

/// The files that Tests/Goldens/make_image_goldens.py made.
enum Goldens {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Goldens/images").path

  static func decode<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
    let path = folder + "/" + name
    let data = try #require(FileManager.default.contents(atPath: path), "\(path) is missing")
    return try JSONDecoder().decode(type, from: data)
  }
}

/// The picture of `formula` in the script. [height, width, 3]
func formula(height: Int, width: Int) -> [UInt8] {
  var pixels: [UInt8] = []
  pixels.reserveCapacity(height * width * 3)
  for y in 0..<height {
    for x in 0..<width {
      for c in 0..<3 {
        let value = x * 7 + y * 13 + c * 29 + x * y / 3 + (x * x) / (y + 1)
        pixels.append(UInt8(value % 256))
      }
    }
  }
  return pixels
}

/// Python's zlib.crc32.
func crc(_ bytes: [UInt8]) -> UInt32 {
  let table = (0..<256 as Range<UInt32>).map { byte in
    (0..<8).reduce(byte) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
  }
  return ~bytes.reduce(UInt32.max) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
}
