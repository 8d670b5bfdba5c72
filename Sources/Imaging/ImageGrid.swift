/// How an image's patches lie.
public struct ImageGrid: Sendable, Equatable, CustomStringConvertible {
  /// Frames, or the tiles of an image that is seen in tiles.
  public var time: Int
  /// Rows and columns of patches of each.
  public var height: Int
  public var width: Int
  /// The picture's size before it was tiled; nil where the grid says all.
  public var original: ImageTiling.Size?

  public init(time: Int = 1, height: Int, width: Int, original: ImageTiling.Size? = nil) {
    self.time = time
    self.height = height
    self.width = width
    self.original = original
  }

  public var patches: Int { time * height * width }

  public var description: String {
    "\(time) × \(height) × \(width)"
      + (original.map { " of \($0.width) x \($0.height) pixels" } ?? "")
  }
}
