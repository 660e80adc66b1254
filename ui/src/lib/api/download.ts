/**
 * Let the browser save an answer of the service as a file.
 *
 * @param name - where the answer does not name it.
 */
export function download(address: string, name = ''): void {
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
}
