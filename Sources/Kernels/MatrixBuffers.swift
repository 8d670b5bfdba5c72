import COpenBLAS
import Glibc

// Exported by OpenBLAS, in no header of it.
@_silgen_name("blas_memory_alloc")
private func allocateMatrixBuffer(_ position: Int32) -> UnsafeMutableRawPointer?
@_silgen_name("blas_memory_free")
private func freeMatrixBuffer(_ buffer: UnsafeMutableRawPointer?)

/// The buffers in which OpenBLAS packs matrices, one for each thread that multiplies.
public enum MatrixBuffers {
  /// Of one buffer, OpenBLAS's largest on any processor.
  private static let size = 128 << 20

  /// Starts the program anew without OpenBLAS's own threads where an address-space limit holds: as
  /// the library is loaded, each of them asks for a buffer, and at the end of the program it is
  /// waited for. To be called before anything else.
  public static func forgoLibraryThreads() {
    let variable = "OPENBLAS_NUM_THREADS"
    guard ResourceLimit.addressSpace != nil, getenv(variable).map({ String(cString: $0) }) != "1"
    else { return }
    setenv(variable, "1", 1)
    execv("/proc/self/exe", CommandLine.unsafeArgv)
  }

  /// Makes the buffers of `threads` threads where an address-space limit holds. OpenBLAS asks for a
  /// buffer when a product first needs one, and where there is no room it asks again for ever: so
  /// what it needs is asked for before anything else can take the room.
  /// - Returns: the bytes that there was no room for; nil when all is well.
  public static func reserve(threads: Int) -> Int? {
    guard ResourceLimit.addressSpace != nil else { return nil }
    let bytes = threads * (size + (1 << 20))
    let room = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let room, room != MAP_FAILED else { return bytes }
    munmap(room, bytes)
    // Freed, they stay with OpenBLAS for its next products.
    (0..<threads).map { _ in allocateMatrixBuffer(0) }.forEach(freeMatrixBuffer)
    return nil
  }
}
