export function startCompare(): void {}
