/// Which way up a picture was taken: what an image file's metadata say, as Pillow reads them.
struct Orientation {
  /// An EXIF block: a TIFF structure, with or without "Exif\0\0" before it.
  var exif: [UInt8]?
  /// An XMP packet, read where the EXIF block has no orientation.
  var xmp: [UInt8]?

  static let exifPrefix = Array("Exif\0\0".utf8)

  /// 1 to 8; 1 where nothing says so, or what says it is damaged.
  var value: Int {
    let found = exif.flatMap(Self.tagged) ?? xmp.flatMap(Self.attributed) ?? 1
    return (1...8).contains(found) ? found : 1
  }

  /// The tag's value in the first directory of an EXIF block, nil without the tag.
  private static func tagged(_ block: [UInt8]) -> Int? {
    let bytes = block.starts(with: exifPrefix) ? Array(block.dropFirst(6)) : block
    let littleEndian: Bool
    switch bytes.prefix(2) {
    case [0x49, 0x49]: littleEndian = true
    case [0x4D, 0x4D]: littleEndian = false
    default: return nil
    }
    func integer(_ offset: Int, _ size: Int) -> Int? {
      guard offset >= 0, offset + size <= bytes.count else { return nil }
      return (0..<size).reduce(0) {
        $0 << 8 | Int(bytes[offset + (littleEndian ? size - 1 - $1 : $1)])
      }
    }
    guard integer(2, 2) == 42, let directory = integer(4, 4), let count = integer(directory, 2)
    else { return nil }
    var found: Int?
    for entry in 0..<count {
      let offset = directory + 2 + entry * 12
      guard let tag = integer(offset, 2), let type = integer(offset + 2, 2) else { break }
      // Short or long, signed or not; of an entry that stands twice the last one counts.
      let size = [3: 2, 8: 2, 4: 4, 9: 4][type]
      if tag == 0x0112 { found = size.flatMap { integer(offset + 8, $0) } ?? 1 }
    }
    return found
  }

  /// The digit of the first `tiff:Orientation="6"` or `tiff:Orientation>6`.
  private static func attributed(_ packet: [UInt8]) -> Int? {
    let name = Array("tiff:Orientation".utf8)
    var rest = packet[...]
    while let start = rest.firstRange(of: name) {
      rest = rest[start.upperBound...]
      for opening in ["=\"", ">"] where rest.starts(with: opening.utf8) {
        if let digit = rest.dropFirst(opening.utf8.count).first, (0x30...0x39).contains(digit) {
          return Int(digit) - 0x30
        }
      }
    }
    return nil
  }
}
