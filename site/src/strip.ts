/** A vector as a strip of colour: one column a value, teal above zero, ochre below. */

export function drawStrip(canvas: HTMLCanvasElement, vector: Float32Array): void {
  canvas.width = vector.length;
  canvas.height = 1;
  const context = canvas.getContext('2d');
  if (!context) return;
  let most = 1e-12;
  for (const value of vector) most = Math.max(most, Math.abs(value));
  const image = context.createImageData(vector.length, 1);
  for (let i = 0; i < vector.length; i++) {
    const share = vector[i]! / most;
    const [r, g, b] = share >= 0 ? [38, 128, 120] : [196, 120, 44];
    image.data.set([r, g, b, Math.round(255 * Math.min(1, Math.abs(share) ** 0.7))], 4 * i);
  }
  context.putImageData(image, 0, 0);
}
