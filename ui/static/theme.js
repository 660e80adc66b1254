// Runs before the first paint, so that a chosen theme does not flash.
try {
  const chosen = localStorage.getItem('chatvault.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  // Whoever is signed in is shown these; they are asked for while the page itself is still read.
  if (
    localStorage.getItem('chatvault.signed-in') &&
    !/^\/(login|register)$|^\/s\/|\/print$/.test(location.pathname)
  ) {
    window.begun = Object.fromEntries(
      [
        '/ui/config',
        '/auth/me',
        '/users/me/preferences',
        '/conversations?view=summary&status=active&limit=100&cursor=start',
      ].map((address) => [address, fetch(address).catch(() => null)]),
    );
  }
} catch {
  // No storage, no choice: the system's theme it is.
}
