// Runs before the first paint, so that a chosen theme does not flash.
try {
  const chosen = localStorage.getItem('chatvault.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // No storage, no choice: the system's theme it is.
}
