// Chosen before anything is painted, so this is no module: light, dark, or as the system is.
document.documentElement.dataset.theme = localStorage.getItem('ortserve.theme') || 'system';
