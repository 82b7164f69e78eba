//! MySQL and MariaDB change capture.
