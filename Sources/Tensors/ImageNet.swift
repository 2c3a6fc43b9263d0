/// The statistics of ImageNet's pixels that its networks were trained with, for channels red, green, blue in 0...1.
package enum ImageNet {
  package static let mean: [Double] = [0.485, 0.456, 0.406]
  /// Standard deviation.
  package static let deviation: [Double] = [0.229, 0.224, 0.225]
  /// `mean` as a colour.
  package static let meanColor: [UInt8] = mean.map { UInt8(($0 * 255).rounded()) }
}
