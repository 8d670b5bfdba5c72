import CPNG
import Failures

/// PNG over zlib.
///
/// Not through libpng, whose reader reports errors by `longjmp`, which must not cross Swift, and
/// whose simplified reader corrects gamma, so that its colours are not those of the file.
/// What Pillow's `convert("RGB")` does is followed where a choice exists: alpha and transparent
/// colours are dropped, 16-bit colours keep their high byte, 16-bit grey is clipped at 255.
enum PNGDecoder {
  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  static func decode(_ bytes: [UInt8], place: String) throws -> RGBImage {
    var file = PNGFile(place: place)
    try file.read(bytes)
    return try RGBImage(width: file.width, height: file.height, pixels: file.pixels())
      .oriented(file.orientation)
  }
}

/// The chunks of one file, read and checked.
private struct PNGFile {
  let place: String
  var width = 0
  var height = 0
  var depth = 0
  var channels = 0
  var isPalette = false
  var isInterlaced = false
  var orientation = 1
  var palette: [UInt8] = []
  var compressed: [UInt8] = []

  init(place: String) { self.place = place }

  func damaged(_ what: String) -> Failure {
    Failure(.badData, "the PNG is damaged: \(what)", at: place)
  }

  mutating func read(_ bytes: [UInt8]) throws {
    var position = PNGDecoder.signature.count
    var ended = false
    while !ended {
      guard position + 12 <= bytes.count else { throw damaged("it is cut short") }
      func integer(_ offset: Int) -> Int {
        (0..<4).reduce(0) { $0 << 8 | Int(bytes[offset + $1]) }
      }
      let length = integer(position)
      let start = position + 8
      guard length <= bytes.count - start - 4 else { throw damaged("it is cut short") }
      let name = String(decoding: bytes[position + 4..<start], as: UTF8.self)
      let body = bytes[start..<start + length]
      // Lower case marks chunks that a reader may ignore, damaged or not.
      if bytes[position + 4] & 0x20 == 0 {
        let sum = bytes.withUnsafeBufferPointer {
          crc32(0, $0.baseAddress.map { $0 + position + 4 }, UInt32(length + 4))
        }
        guard Int(sum) == integer(start + length) else {
          throw damaged("the checksum of \(name) at byte \(position) does not hold")
        }
      }
      if width == 0, name != "IHDR" { throw damaged("it does not start with IHDR") }
      switch name {
      case "IHDR": try header(Array(body))
      case "PLTE": palette = Array(body)
      case "IDAT": compressed.append(contentsOf: body)
      case "eXIf": orientation = Exif.orientation(body)
      case "IEND": ended = true
      default:
        if bytes[position + 4] & 0x20 == 0 { throw damaged("unknown critical chunk \(name)") }
      }
      position = start + length + 4
    }
  }

  private mutating func header(_ body: [UInt8]) throws {
    guard body.count == 13, width == 0 else { throw damaged("bad IHDR") }
    width = (0..<4).reduce(0) { $0 << 8 | Int(body[$1]) }
    height = (4..<8).reduce(0) { $0 << 8 | Int(body[$1]) }
    try RGBImage.check(width: width, height: height, place: place)
    depth = Int(body[8])
    let allowed: [Int]
    switch body[9] {
    case 0: (channels, allowed) = (1, [1, 2, 4, 8, 16])
    case 2: (channels, allowed) = (3, [8, 16])
    case 3: (channels, allowed, isPalette) = (1, [1, 2, 4, 8], true)
    case 4: (channels, allowed) = (2, [8, 16])
    case 6: (channels, allowed) = (4, [8, 16])
    default: (channels, allowed) = (0, [])
    }
    guard allowed.contains(depth), body[10] == 0, body[11] == 0, body[12] <= 1 else {
      throw damaged("colour type \(body[9]) with \(depth) bits is not of the standard")
    }
    isInterlaced = body[12] == 1
  }

  private func rowBytes(_ width: Int) -> Int { (width * channels * depth + 7) / 8 }

  /// One pass over the image: which pixels it holds. Adam7 has seven, others one.
  private struct Pass {
    var x: Int
    var y: Int
    var stepX: Int
    var stepY: Int

    static let adam7 = [
      Pass(x: 0, y: 0, stepX: 8, stepY: 8), Pass(x: 4, y: 0, stepX: 8, stepY: 8),
      Pass(x: 0, y: 4, stepX: 4, stepY: 8), Pass(x: 2, y: 0, stepX: 4, stepY: 4),
      Pass(x: 0, y: 2, stepX: 2, stepY: 4), Pass(x: 1, y: 0, stepX: 2, stepY: 2),
      Pass(x: 0, y: 1, stepX: 1, stepY: 2),
    ]
  }

  func pixels() throws -> [UInt8] {
    if isPalette, palette.isEmpty || palette.count % 3 != 0 || palette.count > 768 {
      throw damaged("a palette of \(palette.count) bytes")
    }
    let passes =
      isInterlaced ? Pass.adam7 : [Pass(x: 0, y: 0, stepX: 1, stepY: 1)]
    let sizes = passes.map { pass in
      (
        width: (width - pass.x + pass.stepX - 1) / pass.stepX,
        height: (height - pass.y + pass.stepY - 1) / pass.stepY
      )
    }
    let total = sizes.reduce(0) {
      $0 + ($1.width > 0 && $1.height > 0 ? (rowBytes($1.width) + 1) * $1.height : 0)
    }
    var rows = try inflate(total)
    var result = [UInt8](repeating: 0, count: width * height * 3)
    var start = 0
    for (pass, size) in zip(passes, sizes) where size.width > 0 && size.height > 0 {
      let length = rowBytes(size.width)
      for row in 0..<size.height {
        try unfilter(&rows, start: start, length: length, isFirst: row == 0)
        let line = (pass.y + row * pass.stepY) * width + pass.x
        write(rows[start + 1..<start + 1 + length], size.width, pass.stepX, line, &result)
        start += length + 1
      }
    }
    return result
  }

  private func inflate(_ total: Int) throws -> [UInt8] {
    // Deflate cannot shrink below a thousandth: a claim beyond that is not worth the memory.
    guard total / 1040 <= compressed.count + 64 else { throw damaged("it is cut short") }
    var written = UInt(total)
    var status: Int32 = 0
    let rows = [UInt8](unsafeUninitializedCapacity: total) { buffer, count in
      status = uncompress(buffer.baseAddress, &written, compressed, UInt(compressed.count))
      count = min(Int(written), total)
    }
    // Z_BUF_ERROR with all rows there: the stream goes on after the image, which harms nothing.
    guard rows.count == total, status == Z_OK || status == Z_BUF_ERROR else {
      throw damaged(status == Z_DATA_ERROR ? "its data do not inflate" : "it is cut short")
    }
    return rows
  }

  private func unfilter(
    _ rows: inout [UInt8], start: Int, length: Int, isFirst: Bool
  ) throws {
    let filter = rows[start]
    guard filter <= 4 else { throw damaged("unknown row filter \(filter)") }
    let step = max(1, channels * depth / 8)
    rows.withUnsafeMutableBufferPointer { rows in
      let line = start + 1
      let above = line - length - 1
      switch filter {
      case 1:
        for index in stride(from: step, to: length, by: 1) {
          rows[line + index] &+= rows[line + index - step]
        }
      case 2 where !isFirst:
        for index in 0..<length { rows[line + index] &+= rows[above + index] }
      case 3:
        for index in 0..<length {
          let left = index >= step ? Int(rows[line + index - step]) : 0
          let up = isFirst ? 0 : Int(rows[above + index])
          rows[line + index] &+= UInt8((left + up) / 2)
        }
      case 4:
        for index in 0..<length {
          let left = index >= step ? Int(rows[line + index - step]) : 0
          let up = isFirst ? 0 : Int(rows[above + index])
          let corner = isFirst || index < step ? 0 : Int(rows[above + index - step])
          let (a, b, c) = (abs(up - corner), abs(left - corner), abs(left + up - 2 * corner))
          let predicted = a <= b && a <= c ? left : b <= c ? up : corner
          rows[line + index] &+= UInt8(predicted)
        }
      default: break
      }
    }
  }

  /// Writes one row of a pass as colours.
  private func write(
    _ row: ArraySlice<UInt8>, _ count: Int, _ step: Int, _ line: Int, _ result: inout [UInt8]
  ) {
    row.withUnsafeBufferPointer { row in
      let scale = depth < 8 ? 255 / ((1 << depth) - 1) : 1
      let bytes = max(1, depth / 8)
      for index in 0..<count {
        let target = (line + index * step) * 3
        if channels >= 3 {
          let source = index * channels * bytes
          result[target] = row[source]
          result[target + 1] = row[source + bytes]
          result[target + 2] = row[source + 2 * bytes]
          continue
        }
        var value: Int
        if depth >= 8 {
          let source = index * channels * bytes
          value = Int(row[source])
          if depth == 16, channels == 1 { value = value > 0 ? 255 : Int(row[source + 1]) }
        } else {
          let bit = index * depth
          value = Int(row[bit >> 3]) >> (8 - depth - bit & 7) & ((1 << depth) - 1)
        }
        if isPalette {
          // An index beyond the palette is black, as in Pillow.
          for channel in 0..<3 {
            let entry = value * 3 + channel
            result[target + channel] = entry < palette.count ? palette[entry] : 0
          }
        } else {
          let grey = UInt8(value * scale)
          result[target] = grey
          result[target + 1] = grey
          result[target + 2] = grey
        }
      }
    }
  }
}
