/// Left and right exchanged in images [rows][width][3].
package enum Mirror {
  /// In place, every row of `pixels`; a batch [n][height][width][3] is n·height rows.
  package static func rows(_ pixels: inout [UInt8], width: Int) {
    precondition(width > 0 && pixels.count % (width * 3) == 0)
    let rows = pixels.count / (width * 3)
    pixels.withUnsafeMutableBufferPointer { pixels in
      for row in 0..<rows {
        var left = row * width * 3, right = left + (width - 1) * 3
        while left < right {
          pixels.swapAt(left, right)
          pixels.swapAt(left + 1, right + 1)
          pixels.swapAt(left + 2, right + 2)
          left += 3
          right -= 3
        }
      }
    }
  }
}
