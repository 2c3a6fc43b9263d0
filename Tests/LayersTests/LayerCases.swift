import Tensors

/// Every layer, at sizes that are no multiple of anything.
enum LayerCases {
  static let convolutions = [
    ConvolutionCase(inputChannels: 6, outputChannels: 5, height: 4, width: 3),
    ConvolutionCase(inputChannels: 33, outputChannels: 65, height: 3, width: 5),
    ConvolutionCase(inputChannels: 3, outputChannels: 4, stride: 2, height: 5, width: 4),
    ConvolutionCase(inputChannels: 5, outputChannels: 7, kernel: 3, padding: 1, height: 6, width: 5),
    ConvolutionCase(inputChannels: 4, outputChannels: 18, kernel: 3, stride: 2, padding: 1, height: 7, width: 6),
    ConvolutionCase(inputChannels: 4, outputChannels: 3, kernel: 3, stride: 2, padding: 1, height: 8, width: 1),
    ConvolutionCase(inputChannels: 3, outputChannels: 5, kernel: 7, stride: 2, padding: 3, height: 9, width: 14),
    ConvolutionCase(inputChannels: 3, outputChannels: 2, kernel: 7, stride: 2, padding: 3, height: 2, width: 3),
    ConvolutionCase(inputChannels: 7, outputChannels: 6, bias: true, height: 3, width: 4),
    ConvolutionCase(inputChannels: 4, outputChannels: 3, kernel: 3, padding: 1, bias: true, height: 4, width: 4),
    ConvolutionCase(inputChannels: 50, outputChannels: 11, bias: true, height: 1, width: 1),
    // several bands of rows an image, the last one shorter
    ConvolutionCase(inputChannels: 3, outputChannels: 4, kernel: 3, padding: 1, height: 13, width: 30),
    ConvolutionCase(inputChannels: 2, outputChannels: 3, kernel: 3, stride: 2, padding: 1, height: 9, width: 261),
  ]

  static let all: [any LayerCase] =
    convolutions
    + [convolutions[1], convolutions[4], convolutions[6], convolutions[11]].map {
      NormalizedConvolutionCase(convolution: $0)
    } + [
      NormalizedConvolutionCase(convolution: convolutions[3], instanceChannels: 3),
      NormalizedConvolutionCase(convolution: convolutions[4], instanceChannels: 18),
      NormalizedConvolutionCase(convolution: convolutions[11], instanceChannels: 1, isActivated: false),
      DepthwiseCase(channels: 7, stride: 1, height: 5, width: 4),
      DepthwiseCase(channels: 33, stride: 2, height: 6, width: 5),
      DepthwiseCase(channels: 5, stride: 1, height: 1, width: 3),
      DepthwiseCase(channels: 6, stride: 1, height: 6, width: 5, units: 2),
      // several bands of rows an image, the last one shorter
      DepthwiseCase(channels: 9, stride: 1, height: 13, width: 50),
      DepthwiseCase(channels: 19, stride: 2, height: 9, width: 7, units: 1, isActivated: true),
      DepthwiseCase(channels: 19, stride: 2, height: 14, width: 11, units: 2, isActivated: true),
      BatchNormCase(channels: 5), BatchNormCase(channels: 37),
      ResidualJoinCase(shape: Shape(1, 3, 5, 7), normalizedShortcut: false),
      ResidualJoinCase(shape: Shape(1, 3, 5, 7), normalizedShortcut: true),
      MaxPoolCase(shape: Shape(1, 6, 4, 5)), MaxPoolCase(shape: Shape(1, 5, 7, 3)),
      MaxPoolCase(shape: Shape(1, 1, 2, 3)),
      MaxPoolCase(shape: Shape(1, 6, 4, 5), border: .ceil), MaxPoolCase(shape: Shape(1, 5, 7, 3), border: .ceil),
      GlobalAverageCase(shape: Shape(1, 5, 3, 6)), GlobalAverageCase(shape: Shape(1, 1, 1, 4)),
      PoolCase(kind: .average, shape: Shape(1, 3, 4, 5)),
      PoolCase(kind: .max, shape: Shape(1, 5, 3, 6)), PoolCase(kind: .max, shape: Shape(1, 1, 1, 4)),
      PoolCase(kind: .generalizedMean, shape: Shape(1, 5, 3, 6)),
      BandCase(index: 1, count: 3, shape: Shape(1, 7, 2, 5)), BandCase(index: 0, count: 2, shape: Shape(1, 6, 3, 18)),
      MaskCase(kind: .stripe(height: 0.34), shape: Shape(1, 6, 3, 5)),
      MaskCase(kind: .channels(rate: 0.4), shape: Shape(1, 2, 3, 21)),
      MaskCase(kind: .channels(rate: 0.4), shape: Shape(1, 3, 2, 7), isActivation: true),
      MaskCase(kind: .topRows(height: 0.34), shape: Shape(1, 6, 3, 5)),
      AttentivePoolCase(shape: Shape(1, 5, 3, 6)), AttentivePoolCase(shape: Shape(1, 2, 2, 4)),
      ComposedCase(kind: .grid, shape: Shape(1, 5, 3, 6), cells: 2),
      ComposedCase(kind: .grid, shape: Shape(1, 2, 1, 5), cells: 4),
      ComposedCase(kind: .gridGate, shape: Shape(1, 5, 3, 6)),
      ComposedCase(kind: .gridGate, shape: Shape(1, 2, 1, 5), cells: 4),
      ComposedCase(kind: .pixelGate, shape: Shape(1, 5, 3, 6)),
      ComposedCase(kind: .addingGate, shape: Shape(1, 3, 4, 7)),
      ComposedCase(kind: .activation, shape: Shape(1, 3, 4, 7)),
      ComposedCase(kind: .branches, shape: Shape(1, 3, 4, 7)),
      ComposedCase(kind: .positions, shape: Shape(1, 3, 4, 7)),
      ComposedCase(kind: .decoupled, shape: Shape(1, 3, 4, 7)),
      ComposedCase(kind: .angles, shape: Shape(1, 2, 3, 5)), ComposedCase(kind: .channels, shape: Shape(1, 3, 4, 5)),
      ComposedCase(kind: .dropout, shape: Shape(1, 4, 3, 6)), ComposedCase(kind: .narrowing, shape: Shape(1, 3, 4, 7)),
      UpsampleCase(shape: Shape(1, 2, 3, 5), height: 4, width: 6),
      UpsampleCase(shape: Shape(1, 3, 2, 4), height: 3, width: 2),
      UpsampleCase(shape: Shape(1, 3, 2, 4), height: 7, width: 5),
      UpsampleCase(shape: Shape(1, 2, 3, 2), height: 3, width: 4),
      LateralCase(inputChannels: 6, outputChannels: 5, height: 4, width: 6, coarseHeight: 2, coarseWidth: 3),
      LateralCase(inputChannels: 6, outputChannels: 19, height: 5, width: 3, coarseHeight: 3, coarseWidth: 2),
      LateralCase(inputChannels: 3, outputChannels: 4, height: 2, width: 2, coarseHeight: 2, coarseWidth: 2),
      ChannelScaleCase(shape: Shape(1, 3, 4, 7)),
      OmniScaleCase(channels: 3, hidden: 2, height: 3, width: 4),
      OmniScaleCase(channels: 37, hidden: 3, height: 3, width: 5, streams: 2),
      StoredUnitCase(convolution: convolutions[0]), StoredUnitCase(convolution: convolutions[1], isInstance: true),
      StoredUnitCase(convolution: convolutions[0], isAveraged: true),
      StoredUnitCase(convolution: convolutions[3], isAveraged: true),
      StoredUnitCase(convolution: convolutions[1], isAveraged: true, isInstance: true),
      PixelGateCase(shape: Shape(1, 3, 4, 7), perChannel: false),
      PixelGateCase(shape: Shape(1, 5, 3, 6), perChannel: true),
      NonLocalCase(shape: Shape(1, 3, 4, 7), inner: 1), NonLocalCase(shape: Shape(1, 5, 3, 6), inner: 3),
      NonLocalCase(shape: Shape(1, 2, 3, 35), inner: 18),
      BottleneckCase(channels: 12, inner: 3, stride: 1, downsample: false, height: 4, width: 3),
      BottleneckCase(channels: 5, inner: 3, stride: 1, downsample: true, height: 3, width: 4),
      BottleneckCase(channels: 6, inner: 4, stride: 2, downsample: true, height: 7, width: 5),
      BottleneckCase(
        channels: 12, inner: 3, stride: 1, downsample: false, height: 4, width: 3, gate: .excitation(hidden: 5)),
      BottleneckCase(
        channels: 6, inner: 4, stride: 2, downsample: true, height: 7, width: 5, gate: .excitation(hidden: 4)),
      BottleneckCase(
        channels: 12, inner: 3, stride: 1, downsample: false, height: 4, width: 3, gate: .convolution(kernel: 5)),
      BottleneckCase(
        channels: 6, inner: 4, stride: 2, downsample: true, height: 7, width: 5, gate: .convolution(kernel: 3)),
    ]
}
