import Kernels
import Tensors

/// The beginning of one or several prompts, run once: its keys and values, which the sequences that
/// continue it share.
public final class Beginning {
  /// By layer [tokens, width].
  let keys: [Tensor]
  let values: [Tensor]
  /// Tokens.
  let count: Int
  /// The position of the token behind it, the same along all three axes.
  let next: Int32

  init(keys: [Tensor], values: [Tensor], count: Int, next: Int32) {
    self.keys = keys
    self.values = values
    self.count = count
    self.next = next
  }

  func stretch(layer: Int) -> CachedKeys.Stretch {
    CachedKeys.Stretch(
      keys: keys[layer].values, values: values[layer].values, length: count)
  }
}

/// The keys and values that a sequence gathers by itself, by layer.
struct GrowingCache {
  private let width: Int
  private var keys: [Buffer]
  private var values: [Buffer]
  private var length = 0
  private var capacity = 32

  init(layers: Int, width: Int) {
    self.width = width
    keys = (0..<layers).map { [capacity] _ in Buffer(count: capacity * width) }
    values = (0..<layers).map { [capacity] _ in Buffer(count: capacity * width) }
  }

  /// Makes room for some more tokens.
  mutating func extend(by count: Int) {
    if length + count > capacity {
      capacity = max(2 * capacity, length + count)
      self = copy()
    }
    length += count
  }

  /// A cache of its own with the same content.
  func copy() -> GrowingCache {
    func copied(_ buffers: [Buffer]) -> [Buffer] {
      buffers.map { buffer in
        let other = Buffer(count: capacity * width)
        other.pointer.update(from: buffer.pointer, count: length * width)
        return other
      }
    }
    var other = self
    other.keys = copied(keys)
    other.values = copied(values)
    return other
  }

  /// Writes a layer's keys and values of the last tokens [count, width].
  func put(layer: Int, count: Int, keys new: UnsafePointer<Float>, values: UnsafePointer<Float>) {
    let place = (length - count) * width
    (keys[layer].pointer + place).update(from: new, count: count * width)
    (self.values[layer].pointer + place).update(from: values, count: count * width)
  }

  func stretch(layer: Int) -> CachedKeys.Stretch {
    CachedKeys.Stretch(
      keys: keys[layer].pointer, values: values[layer].pointer, length: length)
  }
}
