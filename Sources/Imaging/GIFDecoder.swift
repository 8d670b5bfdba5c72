import CGIF
import Failures

/// The first frame of a GIF through giflib, as Pillow gives it: on a canvas of the frame's
/// transparent colour, which becomes white, else of its first one.
struct GIFDecoder {
  static let signatures = [Array("GIF87a".utf8), Array("GIF89a".utf8)]

  /// Rows of an interlaced frame: where each pass starts, and its step.
  private static let passes = [(0, 8), (4, 8), (2, 4), (1, 2)]

  private let file: UnsafeMutablePointer<GifFileType>
  private let place: String
  private var transparent: Int?

  static func decode(_ bytes: [UInt8], place: String) throws -> RGBImage {
    try bytes.withUnsafeBufferPointer { bytes in
      var source = Source(rest: bytes[...])
      return try withUnsafeMutablePointer(to: &source) { source in
        var status: Int32 = 0
        guard let file = DGifOpen(source, Source.read, &status) else {
          throw damaged(status, place)
        }
        defer { DGifCloseFile(file, nil) }
        var decoder = GIFDecoder(file: file, place: place)
        return try decoder.firstFrame()
      }
    }
  }

  /// What giflib has not read yet.
  private struct Source {
    var rest: UnsafeBufferPointer<UInt8>.SubSequence

    static let read: InputFunc = { file, target, wanted in
      guard let state = file?.pointee.UserData?.assumingMemoryBound(to: Source.self), let target
      else { return 0 }
      let part = state.pointee.rest.prefix(Int(wanted))
      for (index, byte) in part.enumerated() { target[index] = byte }
      state.pointee.rest = state.pointee.rest.dropFirst(part.count)
      return Int32(part.count)
    }
  }

  private static func damaged(_ status: Int32, _ place: String) -> Failure {
    let reason = GifErrorString(status).map { " (" + String(cString: $0) + ")" } ?? ""
    return Failure(.badData, "the GIF is damaged or cut short" + reason, at: place)
  }

  private func check(_ status: Int32) throws {
    guard status == GIF_OK else { throw Self.damaged(file.pointee.Error, place) }
  }

  private init(file: UnsafeMutablePointer<GifFileType>, place: String) {
    self.file = file
    self.place = place
  }

  private mutating func firstFrame() throws -> RGBImage {
    var record = UNDEFINED_RECORD_TYPE
    while true {
      try check(DGifGetRecordType(file, &record))
      switch record {
      case IMAGE_DESC_RECORD_TYPE: return try frame()
      case EXTENSION_RECORD_TYPE: try skipExtension()
      default: throw Failure(.badData, "the GIF holds no image", at: place)
      }
    }
  }

  private mutating func skipExtension() throws {
    var code: Int32 = 0
    var block: UnsafeMutablePointer<GifByteType>?
    try check(DGifGetExtension(file, &code, &block))
    while let bytes = block {
      var control = GraphicsControlBlock()
      if code == GRAPHICS_EXT_FUNC_CODE,
        DGifExtensionToGCB(Int(bytes[0]), bytes + 1, &control) == GIF_OK,
        control.TransparentColor != NO_TRANSPARENT_COLOR
      {
        transparent = Int(control.TransparentColor)
      }
      try check(DGifGetExtensionNext(file, &block))
    }
  }

  private func frame() throws -> RGBImage {
    try check(DGifGetImageDesc(file))
    let frame = file.pointee.Image
    let (left, top) = (Int(frame.Left), Int(frame.Top))
    let (frameWidth, frameHeight) = (Int(frame.Width), Int(frame.Height))
    try RGBImage.check(width: frameWidth, height: frameHeight, place: place)
    // A frame that reaches out of the screen widens it.
    let width = max(Int(file.pointee.SWidth), left + frameWidth)
    let height = max(Int(file.pointee.SHeight), top + frameHeight)
    try RGBImage.check(width: width, height: height, place: place)
    var palette = palette(frame.ColorMap ?? file.pointee.SColorMap)
    if let transparent { palette[transparent] = (255, 255, 255) }
    let ground = palette[transparent ?? 0]
    var line = [UInt8](repeating: 0, count: frameWidth)
    let pixels = try [UInt8](unsafeUninitializedCapacity: width * height * 3) { pixels, count in
      let isCovered = frameWidth == width && frameHeight == height
      for pixel in 0..<(isCovered ? 0 : width * height) {
        (pixels[3 * pixel], pixels[3 * pixel + 1], pixels[3 * pixel + 2]) = ground
      }
      for (first, step) in frame.Interlace ? Self.passes : [(0, 1)] {
        for row in stride(from: first, to: frameHeight, by: step) {
          try check(DGifGetLine(file, &line, Int32(frameWidth)))
          var target = ((top + row) * width + left) * 3
          for index in line {
            (pixels[target], pixels[target + 1], pixels[target + 2]) = palette[Int(index)]
            target += 3
          }
        }
      }
      count = width * height * 3
    }
    return try RGBImage(width: width, height: height, pixels: pixels)
  }

  /// 256 colours: black beyond the map's own; greys without a map.
  private func palette(_ map: UnsafeMutablePointer<ColorMapObject>?) -> [(UInt8, UInt8, UInt8)] {
    guard let map = map?.pointee, let colors = map.Colors else {
      return (0...255).map { ($0, $0, $0) }
    }
    let own = (0..<min(256, Int(map.ColorCount))).map {
      (colors[$0].Red, colors[$0].Green, colors[$0].Blue)
    }
    return own + Array(repeating: (0, 0, 0), count: 256 - own.count)
  }
}
