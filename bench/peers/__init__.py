"""What else would do the work: each in its documented production configuration."""
