import CSPNG
import Failures
import Glibc

extension RGBImage {
  /// The image as a PNG file. The same pixels give the same bytes.
  public func pngData() throws -> [UInt8] {
    guard let context = spng_ctx_new(Int32(SPNG_CTX_ENCODER.rawValue)) else {
      throw Failure(.software, "libspng cannot start")
    }
    defer { spng_ctx_free(context) }
    var header = spng_ihdr()
    header.width = UInt32(width)
    header.height = UInt32(height)
    header.bit_depth = 8
    header.color_type = UInt8(SPNG_COLOR_TYPE_TRUECOLOR.rawValue)
    var size = 0
    var status: Int32 = 0
    guard spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1) == 0,
      spng_set_ihdr(context, &header) == 0,
      spng_encode_image(
        context, pixels, pixels.count, Int32(SPNG_FMT_PNG.rawValue),
        Int32(SPNG_ENCODE_FINALIZE.rawValue)) == 0,
      let data = spng_get_png_buffer(context, &size, &status)
    else {
      throw Failure(.software, "libspng cannot write a \(width) x \(height) image")
    }
    defer { free(data) }
    return [UInt8](UnsafeRawBufferPointer(start: data, count: size))
  }
}
