import Artifacts
import CTurboJPEG
import CWebP

extension RGBImage {
  /// The sides that the head of a file tells, before its metadata turn it; nil for what is no image,
  /// or where they stand further behind.
  public static func size(head bytes: [UInt8]) -> ImageTiling.Size? {
    var (width, height): (Int32, Int32) = (0, 0)
    func number(_ place: Int, _ count: Int, bigEndian: Bool) -> Int32 {
      let digits = bytes[place..<place + count]
      return (bigEndian ? Array(digits) : digits.reversed()).reduce(0) { $0 << 8 | Int32($1) }
    }
    if bytes.starts(with: PNGDecoder.signature), bytes.count >= 24, bytes[16] < 0x80,
      bytes[20] < 0x80
    {
      (width, height) = (number(16, 4, bigEndian: true), number(20, 4, bigEndian: true))
    } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
      guard let handle = tjInitDecompress() else { return nil }
      defer { tjDestroy(handle) }
      var (subsampling, space): (Int32, Int32) = (0, 0)
      guard
        tjDecompressHeader3(
          handle, bytes, UInt(bytes.count), &width, &height, &subsampling, &space) == 0
      else { return nil }
    } else if GIFDecoder.signatures.contains(where: bytes.starts(with:)), bytes.count >= 10 {
      (width, height) = (number(6, 2, bigEndian: false), number(8, 2, bigEndian: false))
    } else if bytes.count >= 12, bytes[8..<12].elementsEqual("WEBP".utf8) {
      guard WebPGetInfo(bytes, bytes.count, &width, &height) != 0 else { return nil }
    }
    guard (try? check(width: Int(width), height: Int(height), place: "")) != nil else { return nil }
    return ImageTiling.Size(height: Int(height), width: Int(width))
  }
}

extension ImageProcessor {
  /// The most patches that a picture of this size becomes; of any size where that is not known.
  public func patches(of size: ImageTiling.Size?) -> Int {
    if let tiling {
      let most = tiling.pinpoints.map { $0.height / tiling.tile * ($0.width / tiling.tile) }.max()
      return (1 + (most ?? 0)) * (tiling.tile / patchSize) * (tiling.tile / patchSize)
    }
    guard let size, let resized = try? smartResize(height: size.height, width: size.width) else {
      return maxPixels / patchSize / patchSize
    }
    return resized.height / patchSize * (resized.width / patchSize)
  }
}
