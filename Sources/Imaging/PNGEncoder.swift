import CPNG
import Failures

extension RGBImage {
  /// The image as a PNG file. The same pixels give the same bytes.
  public func pngData() throws -> [UInt8] {
    var image = png_image()
    image.version = UInt32(PNG_IMAGE_VERSION)
    image.width = UInt32(width)
    image.height = UInt32(height)
    image.format = UInt32(PNG_FORMAT_FLAG_COLOR)
    defer { png_image_free(&image) }
    // The largest that deflate can make of it, so that one pass is enough.
    let most = pixels.count + height + pixels.count / 1000 * 12 + 4096
    var size = most
    var done = false
    let bytes = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
      done = png_image_write_to_memory(&image, buffer.baseAddress, &size, 0, pixels, 0, nil) != 0
      count = done ? size : 0
    }
    guard done else { throw Failure(.software, "libpng cannot write a \(width) x \(height) image") }
    return bytes
  }
}
