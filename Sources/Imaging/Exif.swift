/// The orientation tag out of an EXIF block.
enum Exif {
  /// - Parameter block: a TIFF structure, with or without "Exif\0\0" before it.
  /// - Returns: 1 to 8; 1 where the block does not say, or is damaged.
  static func orientation(_ block: ArraySlice<UInt8>) -> Int {
    var bytes = Array(block)
    if bytes.starts(with: [0x45, 0x78, 0x69, 0x66, 0, 0]) { bytes.removeFirst(6) }
    guard bytes.count >= 8 else { return 1 }
    let littleEndian: Bool
    switch (bytes[0], bytes[1]) {
    case (0x49, 0x49): littleEndian = true
    case (0x4D, 0x4D): littleEndian = false
    default: return 1
    }
    func integer(_ offset: Int, _ size: Int) -> Int? {
      guard offset >= 0, offset + size <= bytes.count else { return nil }
      return (0..<size).reduce(0) {
        $0 << 8 | Int(bytes[offset + (littleEndian ? size - 1 - $1 : $1)])
      }
    }
    guard integer(2, 2) == 42, let directory = integer(4, 4), let count = integer(directory, 2)
    else { return 1 }
    for entry in 0..<count {
      let offset = directory + 2 + entry * 12
      guard let tag = integer(offset, 2), let type = integer(offset + 2, 2) else { return 1 }
      if tag == 0x0112, let value = integer(offset + 8, type == 4 ? 4 : 2) {
        return (1...8).contains(value) ? value : 1
      }
    }
    return 1
  }
}
